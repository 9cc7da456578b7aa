#include "base/status.h"

#include <absl/strings/cord.h>

#include <cstring>

#include "base/text.h"

namespace faultline {
namespace {

constexpr char kDetailUrl[] = "type.googleapis.com/chaos.v1.ErrorDetail";

}  // namespace

void AttachDetail(Status& status, const chaos::v1::ErrorDetail& detail) {
  status.SetPayload(kDetailUrl, absl::Cord(detail.SerializeAsString()));
}

std::optional<chaos::v1::ErrorDetail> DetailOf(const Status& status) {
  const auto payload = status.GetPayload(kDetailUrl);
  chaos::v1::ErrorDetail detail;
  if (!payload || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

std::string ReasonOf(const Status& status) {
  const auto detail = DetailOf(status);
  return detail ? detail->reason() : "";
}

Status MakeDetailedError(StatusCode code, std::string_view reason, std::string_view message,
                         std::map<std::string, std::string> metadata) {
  Status status(code, ToAbsl(message));
  chaos::v1::ErrorDetail detail;
  detail.set_reason(std::string(reason));
  for (auto& [key, value] : metadata) (*detail.mutable_metadata())[key] = std::move(value);
  AttachDetail(status, detail);
  return status;
}

Status FieldError(std::string_view field, std::string_view value, std::string_view allowed,
                  std::string_view reason, StatusCode code) {
  // All of it travels in headers, which are small.
  const std::string shown_field = Shown(field), shown_value = Shown(value);
  const std::string shown_allowed = Shown(allowed, 800);
  const std::string_view verdict =
      code == StatusCode::kNotFound ? "was not found" : "is not allowed";
  Status status(code, ToAbsl(fmt::format("{}: '{}' {}: {}", shown_field, shown_value, verdict,
                                         shown_allowed)));
  chaos::v1::ErrorDetail detail;
  detail.set_reason(std::string(reason));
  auto* violation = detail.add_violations();
  violation->set_field(shown_field);
  violation->set_value(shown_value);
  violation->set_allowed(shown_allowed);
  AttachDetail(status, detail);
  return status;
}

std::string ErrnoText(int error) {
  return fmt::format("{} (errno {})", std::strerror(error), error);
}

}  // namespace faultline
