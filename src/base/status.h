// Errors are values: absl::Status, with a chaos.v1.ErrorDetail attached where a program or a user
// can act on it. Created where the cause is known; mapped to gRPC only in rpc/status.h.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "chaos/v1/errors.pb.h"

namespace faultline {

using absl::Status;
using absl::StatusCode;
using absl::StatusOr;

// absl's string_view is a type of its own in Debian's build; this is the one crossing.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string ToString(absl::string_view s) { return {s.data(), s.size()}; }

// MakeError(code, "text {}", arg): a status whose message is formatted by fmt.
template <typename... Args>
Status MakeError(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, ToAbsl(fmt::format(format, std::forward<Args>(args)...)));
}

// A status that carries a machine-readable reason (stable, upper case) and facts about it.
Status MakeDetailedError(StatusCode code, std::string_view reason, std::string_view message,
                         std::map<std::string, std::string> metadata = {});

// INVALID_ARGUMENT (or `code`) about one field: "<field>: '<value>' is not allowed: <allowed>", or
// "was not found" with NOT_FOUND, all fit to be shown (base/text.h). Reason: INVALID_PARAMETER.
Status FieldError(std::string_view field, std::string_view value, std::string_view allowed,
                  std::string_view reason = "INVALID_PARAMETER",
                  StatusCode code = StatusCode::kInvalidArgument);

// The detail attached by the functions above, if any.
std::optional<chaos::v1::ErrorDetail> DetailOf(const Status& status);
// Its reason; empty without.
std::string ReasonOf(const Status& status);
void AttachDetail(Status& status, const chaos::v1::ErrorDetail& detail);

// "strerror (errno N)" for messages.
std::string ErrnoText(int error);

}  // namespace faultline

// Returns the status from the calling function unless it is OK.
#define FL_RETURN_IF_ERROR(expression)                                                 \
  do {                                                                                 \
    if (::absl::Status fl_status_ = (expression); !fl_status_.ok()) return fl_status_; \
  } while (false)

#define FL_CONCAT_INNER(a, b) a##b
#define FL_CONCAT(a, b) FL_CONCAT_INNER(a, b)
// FL_ASSIGN_OR_RETURN(auto x, F()): returns F()'s status unless it is OK, else declares x.
#define FL_ASSIGN_OR_RETURN(declaration, expression) \
  FL_ASSIGN_OR_RETURN_INNER(FL_CONCAT(fl_or_, __LINE__), declaration, expression)
#define FL_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                      \
  if (!result.ok()) return result.status();                        \
  declaration = std::move(result).value()
