// Where the controller nodes are, as users write it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace faultline::client {

inline constexpr const char* kAddressVariable = "FAULTLINE_ADDRESS";
inline constexpr const char* kDefaultAddress = "127.0.0.1:7400";

// "a:7400, b, [::1]:7401, unix:/run/x.sock" to {"a:7400", "b:7400", ...}: a missing port is the
// API's default one; repeated addresses count once. INVALID_ARGUMENT about `field` for an empty
// list, an empty host or a port that is none.
StatusOr<std::vector<std::string>> ParseAddresses(std::string_view text,
                                                  std::string_view field = "address");

// `given` unless empty, else the variable FAULTLINE_ADDRESS, else 127.0.0.1:7400. An error about
// the variable names it as its field.
StatusOr<std::vector<std::string>> ResolveAddresses(std::string_view given);

}  // namespace faultline::client
