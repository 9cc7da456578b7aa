// The last time of a target without any fault, and since when it has had its faults: what a report
// compares with. The target's agent keeps it, gives it to each node that it goes on with, and that
// node keeps it too. All times are by the agent's clock. Not thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "chaos/v1/agent.pb.h"
#include "chaos/v1/metrics.pb.h"

namespace faultline {

// From one time of a clock to another; 0 when that is not later.
uint64_t SinceNs(int64_t from_unix_ns, int64_t to_unix_ns);

// Which batch of which start of an agent, and when it was measured.
struct BatchTime {
  uint64_t incarnation = 0, sequence = 0;
  int64_t begin_unix_ns = 0, end_unix_ns = 0;
  uint64_t interval_ns = 0;
};
BatchTime TimeOf(const chaos::v1::MetricsBatch& batch);

// Whether the slot was measured before that batch of that start of its agent, whatever the agent's
// clock has shown. None when it is of another start, or does not say.
std::optional<bool> IsBefore(const chaos::v1::BaselineSlot& slot, uint64_t incarnation,
                             uint64_t sequence);

class Baseline {
 public:
  static constexpr std::chrono::milliseconds kDefaultKept{10'000};
  static constexpr uint64_t kSlotNs = 1'000'000'000;
  // An experiment that is off for longer is not only interrupted.
  static constexpr uint64_t kForgetNs = 10'000'000'000;
  static constexpr int kMaxSlots = 128;
  // Of further experiments it is not kept since when they are on.
  static constexpr int kMaxFaults = 64;

  explicit Baseline(std::chrono::nanoseconds kept = kDefaultKept) { SetKept(kept); }
  // How much time without a fault is kept, at least.
  void SetKept(std::chrono::nanoseconds kept) { kept_ns_ = static_cast<uint64_t>(kept.count()); }

  // Samples in the order in which they were measured.
  void Add(const chaos::v1::TargetSample& sample, const BatchTime& when);
  // What another has kept of the target. What was kept here stays if it is from before that.
  void Take(const chaos::v1::TargetBaseline& given);

  // Without the target's id.
  const chaos::v1::TargetBaseline& kept() const { return kept_; }
  // When the experiment's first fault was on: `when`, unless an earlier time is known.
  chaos::v1::FaultBegin BeginOf(const std::string& experiment_id, const BatchTime& when) const;

 private:
  void NoteFaults(const chaos::v1::TargetSample& sample, const BatchTime& when);
  void Trim();

  uint64_t kept_ns_ = 0;
  chaos::v1::TargetBaseline kept_;
  bool slot_open_ = false;  // the last one goes on
};

}  // namespace faultline
