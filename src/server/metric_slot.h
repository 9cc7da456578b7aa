// What waits for one subscriber of one series (experiment, target and source): an update as it
// came, or several merged into one. Of bounded size.
#pragma once

#include <memory>

#include "chaos/v1/metrics.pb.h"

namespace faultline::server {

// One batch's update, shared by all who get it: with its buckets, and without.
struct SharedUpdate {
  std::shared_ptr<const chaos::v1::MetricUpdate> full, plain;
};

// Takes out what only those get who ask for buckets.
void ClearBuckets(chaos::v1::MetricUpdate* update);

// Not thread-safe.
class MetricSlot {
 public:
  // True when it was merged with what waited.
  bool Add(const SharedUpdate& update);
  bool empty() const { return !waiting_.full && !merged_; }
  // What waits, which must be something; nothing waits then. Percentiles and rates of what was
  // merged from more than a second are over all of that time.
  std::shared_ptr<const chaos::v1::MetricUpdate> Take(bool with_histogram);

 private:
  void Summarize(chaos::v1::MetricUpdate* update) const;

  SharedUpdate waiting_;                             // one
  std::unique_ptr<chaos::v1::MetricUpdate> merged_;  // or several
  int64_t drops_before_ = -1;  // packet_drops when what waits began; below 0: not known
  int64_t last_drops_ = -1;
};

}  // namespace faultline::server
