// A fault kind's parameters as command-line flags, from what the registry says of the kind: so the
// flags work offline, and a new kind needs nothing here.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/chaos.pb.h"

namespace faultline::cli {

// "delay_ms" to "--delay-ms".
std::string FlagName(const std::string& parameter);

// "Time to hold each packet (0 to 60000 ms; required)".
std::string FlagHelp(const chaos::v1::ParameterInfo& parameter);

// Value name in the help: "MS", "NUMBER", "egress|ingress|both", "PORT,..." and so on.
std::string FlagType(const chaos::v1::ParameterInfo& parameter);

// Kind named on the command line after "start", spelled in any case and with '-' or '_'.
std::optional<chaos::v1::FaultKindInfo> KindOnLine(
    const std::vector<chaos::v1::FaultKindInfo>& kinds, const std::vector<std::string>& line);

// Adds the kind's flags to `command`. What is given on the line stands, as text, in `values` after
// the parse; nothing is checked here: the server does that once for everybody.
void AddKindFlags(CLI::App* command, const chaos::v1::FaultKindInfo& kind,
                  std::shared_ptr<std::map<std::string, std::string>> values);

// "--delay-ms 10 --loss-percent 10": the kind's required parameters with a harmless value each.
std::string ExampleFlags(const chaos::v1::FaultKindInfo& kind);

// "k=v" texts added to `values`. INVALID_ARGUMENT for one without "=", or a name that is there.
Status AddPairs(const std::vector<std::string>& pairs, std::map<std::string, std::string>* values);

}  // namespace faultline::cli
