#include "client/c_status.h"

namespace faultline::client {

CStatus::CStatus(const Status& status)
    : message_(ToString(status.message())),
      detail_(DetailOf(status).value_or(chaos::v1::ErrorDetail())) {
  for (const auto& violation : detail_.violations()) {
    violations_.push_back(
        {violation.field().c_str(), violation.value().c_str(), violation.allowed().c_str()});
  }
  for (const auto& [name, value] : detail_.metadata()) {
    metadata_.push_back({name.c_str(), value.c_str()});
  }
  c_.code = static_cast<int>(status.code());
  c_.reason = detail_.reason().c_str();
  c_.message = message_.c_str();
  c_.violations = violations_.data();
  c_.violation_count = violations_.size();
  c_.metadata = metadata_.data();
  c_.metadata_count = metadata_.size();
  c_.retry_after_ms =
      detail_.retry_after().seconds() * 1000 + detail_.retry_after().nanos() / 1'000'000;
}

}  // namespace faultline::client
