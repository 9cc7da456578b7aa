// What the reconciler says of its faults.
#include <algorithm>
#include <utility>

#include "agent/reconciler.h"
#include "base/clock.h"

namespace faultline::agent {

chaos::v1::TargetPhase Reconciler::PhaseOf(State state) {
  switch (state) {
    case State::kArmed:
      return chaos::v1::TARGET_PHASE_ACTIVE;
    case State::kReverted:
      return chaos::v1::TARGET_PHASE_REVERTED;
    case State::kRefused:
      return chaos::v1::TARGET_PHASE_REFUSED;
    default:
      return chaos::v1::TARGET_PHASE_PENDING;
  }
}

bool Reconciler::TakeChanged() { return std::exchange(changed_, false); }

chaos::v1::FaultReports Reconciler::Reports(uint64_t now_ns) {
  chaos::v1::FaultReports reports;
  *reports.mutable_version() = version_;
  for (auto& [key, entry] : entries_) {
    if (entry.state == State::kWaiting && entry.armed_unix_ns == 0) continue;
    if (entry.sent_ns == 0) entry.sent_ns = now_ns;
    auto* report = reports.add_reports();
    report->set_experiment_id(key.experiment_id);
    report->set_fault_index(key.fault_index);
    report->set_target_id(key.target_id);
    report->set_phase(PhaseOf(entry.state));
    report->set_reason(entry.reason);
    report->set_halted(entry.halted && entry.state != State::kArmed);
  }
  return reports;
}

void Reconciler::OnSessionEnd() {
  for (auto& [key, entry] : entries_) entry.sent_ns = 0;
}

std::vector<::agent::v1::LocalFault> Reconciler::Faults(uint64_t now_ns) const {
  std::vector<::agent::v1::LocalFault> faults;
  for (const auto& [key, entry] : entries_) {
    ::agent::v1::LocalFault& fault = faults.emplace_back();
    fault.set_experiment_id(key.experiment_id);
    fault.set_fault_index(key.fault_index);
    fault.set_target_id(key.target_id);
    fault.set_kind(entry.fault.kind());
    fault.set_reason(entry.reason);
    fault.set_armed(entry.state == State::kArmed);
    if (entry.armed_unix_ns != 0) {
      auto* armed_at = fault.mutable_armed_at();
      armed_at->set_seconds(static_cast<int64_t>(entry.armed_unix_ns / kNanosPerSecond));
      armed_at->set_nanos(static_cast<int32_t>(entry.armed_unix_ns % kNanosPerSecond));
    }
    fault.set_phase(PhaseOf(entry.state));
    const uint64_t left_ns = entry.deadline_ns > now_ns ? entry.deadline_ns - now_ns : 0;
    fault.mutable_time_left()->set_seconds(static_cast<int64_t>(left_ns / kNanosPerSecond));
    fault.mutable_time_left()->set_nanos(static_cast<int32_t>(left_ns % kNanosPerSecond));
  }
  return faults;
}

std::set<faults::FaultKey> Reconciler::Armed() const {
  std::set<faults::FaultKey> armed;
  for (const auto& [key, entry] : entries_) {
    if (entry.state == State::kArmed) armed.insert(armed.end(), key);
  }
  return armed;
}

unsigned Reconciler::armed_count() const {
  return static_cast<unsigned>(std::count_if(entries_.begin(), entries_.end(), [](const auto& e) {
    return e.second.state == State::kArmed;
  }));
}

}  // namespace faultline::agent
