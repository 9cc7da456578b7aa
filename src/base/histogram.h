// User-space side of base/log_linear.h: merging is exact, percentiles come from merged buckets.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/log_linear.h"
#include "base/status.h"
#include "chaos/v1/metrics.pb.h"

namespace faultline {

// What a bucket of a message may hold: a day of ten million a second, and little enough that no sum
// over a message's buckets, or over a window of messages, overflows.
inline constexpr uint64_t kMaxBucketCount = uint64_t{1} << 40;

class Histogram {
 public:
  void Record(uint64_t value_ns, uint64_t count = 1);
  void Merge(const Histogram& other);
  // INVALID_ARGUMENT, and the histogram unchanged, when `sparse` is not of our scheme, its indexes
  // do not grow, or a count is above kMaxBucketCount.
  Status Merge(const chaos::v1::SparseHistogram& sparse);
  // Takes away what was merged before: for sliding windows. `other` must have been merged.
  void Subtract(const Histogram& other);
  void Clear();

  uint64_t count() const { return count_; }
  uint64_t bucket(unsigned index) const { return buckets_[index]; }
  void AddToBucket(unsigned index, uint64_t count);

  // Nearest-rank percentile (0 < percent <= 100) as the middle of its bucket; 0 when empty.
  double PercentileNs(double percent) const;

  chaos::v1::SparseHistogram ToSparse() const;

 private:
  std::array<uint64_t, FL_HIST_BUCKETS> buckets_{};
  uint64_t count_ = 0;
};

// The same for what has few buckets in use, or for thousands of which most are empty: size and cost
// are of the buckets in use.
class SparseBuckets {
 public:
  // As Histogram::Merge.
  Status Merge(const chaos::v1::SparseHistogram& sparse);
  // Takes away what was merged before; of more than there is, what there is.
  void Subtract(const chaos::v1::SparseHistogram& merged);

  uint64_t count() const { return count_; }
  // As Histogram::PercentileNs, of several that do not fall, in one pass.
  std::vector<double> PercentilesNs(std::span<const double> percents) const;

 private:
  std::map<uint32_t, uint64_t> buckets_;
  uint64_t count_ = 0;
};

// Adds `from` to `into`, at a cost of the buckets in use; sums end at kMaxBucketCount. Errors as
// Histogram::Merge, `into` is then unchanged.
Status MergeSparse(const chaos::v1::SparseHistogram& from, chaos::v1::SparseHistogram* into);

}  // namespace faultline
