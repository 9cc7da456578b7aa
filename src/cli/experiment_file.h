// An experiment in a file, for `faultline start -f`:
//
//   target: service:checkout,version:v1
//   duration: 2m
//   faults:
//   - kind: NETWORK_LATENCY
//     parameters: {delay_ms: 100, jitter_ms: 20}
//
// in YAML or JSON. What `get --json` and `start --json` print is such a file, too: the fields that
// only answers have are passed over.
#pragma once

#include <istream>
#include <map>
#include <string>

#include "base/status.h"
#include "base/time_range.h"
#include "chaos/v1/chaos.pb.h"

namespace faultline::cli {

// How long an experiment may be: what the API takes.
inline constexpr TimeRange kExperimentTime{std::chrono::seconds(1), std::chrono::hours(24)};

struct ExperimentFile {
  std::string name;
  // Target, duration, seed and faults, as the file has them; parameters unchecked.
  chaos::v1::StartExperimentRequest request;
  // Line of each field: "duration", "faults[1].kind", "faults[1].parameters.delay_ms".
  std::map<std::string, int> lines;
};

// `path` "-" reads `standard_input`. Errors name file, line and field.
StatusOr<ExperimentFile> ReadExperimentFile(const std::string& path, std::istream& standard_input);

// An error about a field of the request, with the file and the field's line in front; other errors
// as they are.
Status AtItsLine(const Status& error, const ExperimentFile& file);

}  // namespace faultline::cli
