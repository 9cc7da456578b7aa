// Sums over armings of faults' counters, which agents count anew whenever they arm: what a live
// stream tells of an experiment does not go back.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "chaos/v1/metrics.pb.h"

namespace faultline::server {

// Not thread-safe.
class MetricTotals {
 public:
  // Of a fault that nothing was heard of for so long is forgotten what it did, once there are many.
  static constexpr uint64_t kForgetNs = 600'000'000'000;
  static constexpr size_t kFewFaults = 1'024;
  // Beyond so many, another one's counters are told as they come.
  static constexpr size_t kMaxFaults = 50'000;

  // Of one target.
  struct Sums {
    // Each fault that the sample has counters of, once.
    std::vector<chaos::v1::FaultCounters> faults;
    // By all faults of the target that were ever seen here; of one without room, as it comes.
    uint64_t dropped = 0;
  };

  // Takes the next batch of its source in; `follows`: the one before it came too. What a fault did
  // since it was armed counts from its first batch on. Result: by sample.
  std::vector<Sums> Add(const chaos::v1::MetricsBatch& batch, bool follows, uint64_t now_ns);

 private:
  using FaultId = std::pair<std::string, uint32_t>;  // experiment, index
  // Of one start of the agent.
  struct Start {
    uint64_t incarnation = 0, sequence = 0;  // of the batch that had the fault last
    chaos::v1::FaultCounters last;
  };
  struct Fault {
    // The present one and the one before it, whose last batches may come later by another way.
    std::array<Start, 2> starts;
    chaos::v1::FaultCounters sum;
    uint64_t heard_ns = 0;
  };
  struct Target {
    std::map<FaultId, Fault> faults;
    uint64_t dropped = 0;
    uint64_t heard_ns = 0;
  };

  // Null when there is no room for another.
  Target* TargetOf(const chaos::v1::TargetSample& sample);
  // The fault's sum; null when there is no room for another, or for its target.
  const chaos::v1::FaultCounters* AddCounters(const chaos::v1::FaultCounters& counters,
                                              const chaos::v1::SourcePosition& position,
                                              bool follows, Target* target);
  // The counters' growth.
  static chaos::v1::FaultCounters Step(const chaos::v1::FaultCounters& counters,
                                       const chaos::v1::SourcePosition& position, bool follows,
                                       Fault* fault);
  void ForgetWhatIsSilent(uint64_t now_ns);

  std::map<std::string, Target> targets_;  // by id; those that had faults
  size_t faults_ = 0;
  size_t look_at_ = kFewFaults;
  uint64_t looked_ns_ = 0;
};

}  // namespace faultline::server
