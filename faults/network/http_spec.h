// Which HTTP requests a fault is about. Pure.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline::network {

// For kKinds, as those of answer_spec.h.
Status ValidateHttpFault(const google::protobuf::Message& message, std::string_view prefix);

// What one header must be: there, or there with that value.
struct HeaderTerm {
  std::string name;  // lower case
  std::optional<std::string> value;
};

// "x-canary" or "x-user=42". INVALID_ARGUMENT for what is no header's name.
StatusOr<HeaderTerm> ParseHeaderTerm(std::string_view text);

// Whether all of it may stand in the name of a method or a header (RFC 9110's token).
bool IsToken(std::string_view text);

}  // namespace faultline::network
