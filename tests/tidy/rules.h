// The rules of the source tree, each a function from files to complaints. A complaint is a sentence
// that begins with the path (and line) it is about; none means that the rule is kept.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tidy/source.h"

namespace faultline::tidy {

using Complaints = std::vector<std::string>;
using Sources = std::vector<Source>;

// Include edges point one way (docs/architecture.md, "Who may include whom").
Complaints CheckIncludeEdges(const Sources& sources);

// src/control, faults/registry and every *spec* include nothing of Linux, gRPC, BPF, clocks, files,
// threads or randomness.
Complaints CheckPurity(const Sources& sources);

// Sizes above these need a line in the ratchet table, and no table allows a file above the hard
// one.
inline constexpr size_t kSoftFileLines = 300;
inline constexpr size_t kHardFileLines = 400;
inline constexpr size_t kSoftFunctionLines = 70;

// Today's exceptions: "path" or "path function" to lines. A line of the table reads
// "LINES PATH [FUNCTION]"; '#' begins a comment.
using Ratchet = std::map<std::string, size_t>;
Ratchet ParseRatchet(std::string_view text);
// Complains about what is above its limit, what has grown above its exception, and exceptions that
// are larger than what they excuse: they may only shrink.
Complaints CheckSizes(const Sources& sources, const Ratchet& ratchet);

// Fault kinds are known by name and by message only in their slice, docs, tests, benchmarks and the
// demo. The names come from the fault_kind options in faults/*/v1/*.proto.
std::vector<std::string> FaultKindNames(const Sources& sources);
Complaints CheckFaultKindsStayInTheirSlice(const Sources& sources);

// No note of unfinished work, but for docs where it names its owner.
Complaints CheckUnfinished(const Sources& sources);

// Nothing generated, nothing above 1 MiB.
Complaints CheckTracked(const Sources& sources);

// No path of somebody's machine, no download address in package-lock.json.
Complaints CheckMachinePaths(const Sources& sources);

// Every LABEL of a test is one that scripts/test.sh runs.
Complaints CheckLabels(const Sources& sources);

// Every package that scripts/bootstrap.sh installs stands in docs/dependencies.md.
std::vector<std::string> BootstrapPackages(std::string_view bootstrap);
Complaints CheckDependencies(const Sources& sources);

// Links of every .md, and the paths that docs/architecture.md names, lead to files that are there.
Complaints CheckDocPaths(const Sources& sources);

// scripts/test.sh lints, and buf.yaml covers every .proto file.
Complaints CheckProtoLint(const Sources& sources);

}  // namespace faultline::tidy
