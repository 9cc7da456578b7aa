#include "client/c_status.h"

#include "base/text.h"

namespace faultline::client {

CStatus::CStatus(const Status& status) {
  const auto detail = DetailOf(status).value_or(chaos::v1::ErrorDetail());
  for (const auto& violation : detail.violations()) {
    violations_.push_back(
        {Text(violation.field()), Text(violation.value()), Text(violation.allowed())});
  }
  for (const auto& [name, value] : detail.metadata()) {
    metadata_.push_back({Text(name), Text(value)});
  }
  c_.code = static_cast<int>(status.code());
  c_.reason = Text(detail.reason());
  c_.message = Text(ToString(status.message()));
  c_.violations = violations_.data();
  c_.violation_count = violations_.size();
  c_.metadata = metadata_.data();
  c_.metadata_count = metadata_.size();
  c_.retry_after_ms =
      detail.retry_after().seconds() * 1000 + detail.retry_after().nanos() / 1'000'000;
}

const char* CStatus::Text(const std::string& text) {
  const bool plain = IsUtf8(text) && text.find('\0') == std::string::npos;
  return texts_.emplace_back(plain ? text : Shown(text, text.size())).c_str();
}

}  // namespace faultline::client
