#include "cli/report_wait.h"

#include "cli/format.h"

namespace faultline::cli {

bool IsOnItsWay(const StatusOr<chaos::v1::GetReportResponse>& response) {
  if (response.ok()) {
    return response->report().unmeasured_targets_size() > 0 || response->report().events().empty();
  }
  const auto detail = DetailOf(response.status());
  return detail && detail->reason() == "NO_REPORT";
}

bool EndedLongAgo(const chaos::v1::GetExperimentResponse& response, int64_t own_unix_ns) {
  constexpr int64_t kLongNs = 30'000'000'000;
  if (!response.experiment().has_ended_at()) return false;
  const int64_t now_ns = response.has_now() ? ToUnixNanos(response.now()) : own_unix_ns;
  return now_ns - ToUnixNanos(response.experiment().ended_at()) > kLongNs;
}

}  // namespace faultline::cli
