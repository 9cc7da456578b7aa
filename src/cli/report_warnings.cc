#include "cli/report_warnings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "cli/format.h"

namespace faultline::cli {
namespace {

using chaos::v1::Report;
using Warnings = std::vector<std::string>;

// Of the time under a fault so much may be missing, beside a tenth, before it is worth a word: an
// agent's last batch, and what a fault's arming takes.
constexpr int64_t kUnmeasuredNs = 2'000'000'000;

// "a, b and 198 more".
template <typename Names>
std::string NamesText(const Names& names) {
  constexpr int kNamed = 5;
  const auto count = static_cast<int>(names.size());
  if (count <= kNamed + 1) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more",
                     fmt::join(names.begin(), std::next(names.begin(), kNamed), ", "),
                     count - kNamed);
}

bool WasArmed(const chaos::v1::FaultTarget& pair) {
  return pair.phase() == chaos::v1::TARGET_PHASE_REVERTED ||
         pair.phase() == chaos::v1::TARGET_PHASE_LOST;
}

// When a target's fault was first active, and when it was gone; 0: not known, or never.
struct ActiveTime {
  int64_t first_ns = 0, last_ns = 0;
};

// By target. When each fault ended stands in the experiment too, whatever events there was room
// for. Where the event of its beginning had none, the last that others had is taken: a time too
// late, and so a warning too few.
std::map<std::string, ActiveTime> ActiveTimesOf(const Report& report) {
  std::map<std::string, ActiveTime> times;
  int64_t last_begin_ns = 0;
  for (const auto& event : report.events()) {
    ActiveTime& of_target = times[event.target_id()];
    const int64_t time_ns = ToUnixNanos(event.time());
    if (event.what() == "active") {
      if (of_target.first_ns == 0) of_target.first_ns = time_ns;
      last_begin_ns = std::max(last_begin_ns, time_ns);
    }
    if (event.what() == "reverted" || event.what() == "lost") of_target.last_ns = time_ns;
  }
  for (const auto& pair : report.experiment().targets()) {
    if (!WasArmed(pair) || !pair.has_phase_since()) continue;
    ActiveTime& of_target = times[pair.target_id()];
    of_target.last_ns = std::max(of_target.last_ns, ToUnixNanos(pair.phase_since()));
    const bool no_room = of_target.first_ns == 0 && report.left_out().events() > 0;
    if (no_room) of_target.first_ns = last_begin_ns;
  }
  return times;
}

// Without a "before" nothing can be said of what the fault changed.
void AddOfBefore(const Report& report, Warnings* warnings) {
  std::vector<std::string> none, little;
  uint64_t least_ns = 0, asked_ms = 0;
  for (const auto& target : report.targets()) {
    const uint64_t measured_ns = target.before().duration_ns();
    if (measured_ns == 0) {
      none.push_back(target.target_id());
    } else if (measured_ns < target.baseline_ms() * 1'000'000 / 2) {
      least_ns = little.empty() ? measured_ns : std::min(least_ns, measured_ns);
      asked_ms = std::max(asked_ms, target.baseline_ms());
      little.push_back(target.target_id());
    }
  }
  if (!none.empty()) {
    warnings->push_back(
        fmt::format("nothing was measured before the fault of {}: there is nothing to compare with",
                    NamesText(none)));
  }
  if (!little.empty()) {
    warnings->push_back(fmt::format(
        "only {} of the {} before the fault that the controllers keep (their --baseline) were "
        "measured of {}",
        FormatDuration(static_cast<int64_t>(least_ns)),
        FormatDuration(static_cast<int64_t>(asked_ms) * 1'000'000), NamesText(little)));
  }
}

// With an old one it can be said, but the load may have changed since.
void AddOfAge(const Report& report, Warnings* warnings) {
  std::vector<std::string> old;
  uint64_t oldest_ms = 0;
  for (const auto& target : report.targets()) {
    if (target.before_age_ms() < kOldBeforeMs || target.before().duration_ns() == 0) continue;
    oldest_ms = std::max(oldest_ms, target.before_age_ms());
    old.push_back(target.target_id());
  }
  if (old.empty()) return;
  warnings->push_back(
      fmt::format("\"before\" of {} is up to {} older than the fault: other faults were on since "
                  "then, or nothing was measured",
                  NamesText(old), FormatDuration(static_cast<int64_t>(oldest_ms) * 1'000'000)));
}

void AddOfTarget(const chaos::v1::TargetReport& target, const ActiveTime& active,
                 Warnings* warnings) {
  const int64_t active_ns = active.first_ns == 0 ? 0 : active.last_ns - active.first_ns;
  const auto measured_ns = static_cast<int64_t>(target.during().duration_ns());
  if (measured_ns + kUnmeasuredNs < active_ns * 9 / 10) {
    warnings->push_back(
        fmt::format("{}: {} of {} under the fault were measured: nodes that it "
                    "had been measured on have not reported",
                    target.target_id(), FormatDuration(measured_ns), FormatDuration(active_ns)));
  }
  if (target.missing_batches() == 0) return;
  warnings->push_back(fmt::format(
      "{}: {} of {} measurements are missing: they never came, or the node that had them is gone",
      target.target_id(), target.missing_batches(), target.missing_batches() + target.batches()));
}

void AddOfEvents(const Report& report, Warnings* warnings) {
  uint64_t lost = 0;
  for (const auto* phase : {&report.before(), &report.during(), &report.after()}) {
    lost += phase->traffic().events_lost();
  }
  if (lost > 0) {
    warnings->push_back(fmt::format(
        "{} more events of connections were counted, but there was no room to list them", lost));
  }
  if (report.left_out().events() > 0) {
    warnings->push_back(fmt::format(
        "{} more events of the experiment, or more, happened, but there was no room to list them",
        report.left_out().events()));
  }
}

// Delays that agents had no room for.
void AddOfDelays(const Report& report, Warnings* warnings) {
  for (const auto& effect : report.faults()) {
    if (effect.given_no_room() == 0) continue;
    warnings->push_back(fmt::format(
        "fault {}: {} of {} delayed packets are in no percentile: their agents had no room for so "
        "many different delays of so many faults",
        effect.fault_index(), effect.given_no_room(), effect.counters().delays_measured()));
  }
}

// What targets gave up for the report's size.
void AddOfRoom(const Report& report, Warnings* warnings) {
  const auto& left_out = report.left_out();
  const auto add = [&](uint64_t targets, const char* what) {
    if (targets == 0) return;
    warnings->push_back(fmt::format("{} of {} targets: there was no room for {}", targets,
                                    report.targets_size(), what));
  };
  add(left_out.targets_without_percentiles(),
      "their percentiles; those of all targets together have their requests in them");
  add(left_out.targets_without_points(), "their course");
  add(left_out.targets_without_events(), "their events of connections");
}

}  // namespace

std::vector<std::string> WarningsOf(const Report& report) {
  Warnings warnings;
  if (report.unmeasured_targets_size() > 0) {
    warnings.push_back(
        fmt::format("no measurement came from {}", NamesText(report.unmeasured_targets())));
  }
  AddOfBefore(report, &warnings);
  AddOfAge(report, &warnings);
  auto active = ActiveTimesOf(report);
  for (const auto& target : report.targets()) {
    AddOfTarget(target, active[target.target_id()], &warnings);
  }
  AddOfRoom(report, &warnings);
  AddOfDelays(report, &warnings);
  AddOfEvents(report, &warnings);
  return warnings;
}

}  // namespace faultline::cli
