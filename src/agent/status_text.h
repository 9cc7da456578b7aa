// The agent's status as people and scripts read it.
#pragma once

#include <string>
#include <vector>

#include "agent/v1/local.pb.h"

namespace faultline::agent {

// Several lines, each ended.
std::string StatusText(const ::agent::v1::StatusResponse& status);
// One JSON object by protobuf's mapping with the field names of local.proto, and a line end.
std::string StatusJson(const ::agent::v1::StatusResponse& status);

// One line per capability: "tc        yes", "lsm       no   <why>".
std::string CapabilitiesText(const std::vector<chaos::v1::Capability>& capabilities);

}  // namespace faultline::agent
