// What one fault did on one target, by the counters in the target's samples, which start anew
// whenever the fault is armed. Not thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "base/baseline.h"
#include "chaos/v1/metrics.pb.h"
#include "chaos/v1/report.pb.h"

namespace faultline::server {

class FaultCourse {
 public:
  // Sequence of the last batch of the same start of the agent that had the target, when every batch
  // since has come; none when some may be missing.
  using Followed = std::optional<uint64_t>;

  // Counters of a batch, in the order in which they came; twice in one batch when the fault was
  // armed anew in it. Result: packets that the fault has lost since the counters before.
  uint64_t Add(const chaos::v1::FaultCounters& counters, const BatchTime& when, Followed follows);
  void AddDelays(const chaos::v1::FaultDelays& delays);
  // Ends the arming of the batch that is followed, unless this one had counters of it.
  void EndUnlessIn(const BatchTime& when, uint64_t follows);

  // Without the fault's index.
  chaos::v1::FaultEffect ToEffect() const;

 private:
  bool WasIn(uint64_t incarnation, uint64_t sequence) const;
  // Goes on with the arming, or begins another one. Result: whether its counters start anew.
  bool Step(const chaos::v1::FaultCounters& counters, const BatchTime& when, Followed follows);
  void Begin(const chaos::v1::FaultCounters& counters, const BatchTime& when, bool seen_to_begin);
  void AddSquares(const chaos::v1::FaultCounters& growth);

  chaos::v1::FaultCounters last_;                // as they came
  std::vector<chaos::v1::FaultArming> armings_;  // the last one is the one that goes on
  chaos::v1::FaultEffect sum_;
};

}  // namespace faultline::server
