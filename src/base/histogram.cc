#include "base/histogram.h"

#include <algorithm>
#include <cmath>

namespace faultline {
namespace {

Status CheckOurs(const chaos::v1::SparseHistogram& sparse) {
  if (sparse.index_size() == 0) return absl::OkStatus();
  if (sparse.scheme() != chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64) {
    return MakeError(StatusCode::kInvalidArgument, "unknown histogram scheme {}",
                     static_cast<int>(sparse.scheme()));
  }
  if (sparse.index_size() != sparse.count_size()) {
    return MakeError(StatusCode::kInvalidArgument, "histogram has {} indices but {} counts",
                     sparse.index_size(), sparse.count_size());
  }
  for (int i = 0; i < sparse.index_size(); ++i) {
    if (i > 0 && sparse.index(i) <= sparse.index(i - 1)) {
      return MakeError(StatusCode::kInvalidArgument, "histogram index {} is not above {}",
                       sparse.index(i), sparse.index(i - 1));
    }
    if (sparse.index(i) >= FL_HIST_BUCKETS) {
      return MakeError(StatusCode::kInvalidArgument, "histogram index {} is not below {}",
                       sparse.index(i), FL_HIST_BUCKETS);
    }
    if (sparse.count(i) > kMaxBucketCount) {
      return MakeError(StatusCode::kInvalidArgument, "histogram count {} is above {}",
                       sparse.count(i), kMaxBucketCount);
    }
  }
  return absl::OkStatus();
}

uint64_t RankOf(double percent, uint64_t count) {
  return static_cast<uint64_t>(std::ceil(percent / 100.0 * static_cast<double>(count)));
}

double MiddleNs(unsigned index) {
  return (static_cast<double>(fl_hist_lower_ns(index)) +
          static_cast<double>(fl_hist_upper_ns(index))) /
         2;
}

}  // namespace

void Histogram::Record(uint64_t value_ns, uint64_t count) {
  AddToBucket(fl_hist_bucket(value_ns), count);
}

void Histogram::AddToBucket(unsigned index, uint64_t count) {
  buckets_[index] += count;
  count_ += count;
}

void Histogram::Merge(const Histogram& other) {
  for (unsigned i = 0; i < FL_HIST_BUCKETS; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

Status Histogram::Merge(const chaos::v1::SparseHistogram& sparse) {
  FL_RETURN_IF_ERROR(CheckOurs(sparse));
  for (int i = 0; i < sparse.index_size(); ++i) AddToBucket(sparse.index(i), sparse.count(i));
  return absl::OkStatus();
}

void Histogram::Subtract(const Histogram& other) {
  for (unsigned i = 0; i < FL_HIST_BUCKETS; ++i) buckets_[i] -= other.buckets_[i];
  count_ -= other.count_;
}

void Histogram::Clear() {
  buckets_.fill(0);
  count_ = 0;
}

double Histogram::PercentileNs(double percent) const {
  if (count_ == 0) return 0;
  const uint64_t rank = RankOf(percent, count_);
  uint64_t seen = 0;
  for (unsigned i = 0; i < FL_HIST_BUCKETS; ++i) {
    seen += buckets_[i];
    if (buckets_[i] != 0 && seen >= rank) return MiddleNs(i);
  }
  return 0;
}

chaos::v1::SparseHistogram Histogram::ToSparse() const {
  chaos::v1::SparseHistogram sparse;
  sparse.set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  for (unsigned i = 0; i < FL_HIST_BUCKETS; ++i) {
    if (buckets_[i] == 0) continue;
    sparse.add_index(i);
    sparse.add_count(buckets_[i]);
  }
  return sparse;
}

Status SparseBuckets::Merge(const chaos::v1::SparseHistogram& sparse) {
  FL_RETURN_IF_ERROR(CheckOurs(sparse));
  for (int i = 0; i < sparse.index_size(); ++i) {
    if (sparse.count(i) == 0) continue;
    buckets_[sparse.index(i)] += sparse.count(i);
    count_ += sparse.count(i);
  }
  return absl::OkStatus();
}

void SparseBuckets::Subtract(const chaos::v1::SparseHistogram& merged) {
  for (int i = 0; i < merged.index_size(); ++i) {
    const auto bucket = buckets_.find(merged.index(i));
    if (bucket == buckets_.end()) continue;
    const uint64_t less = std::min(bucket->second, merged.count(i));
    bucket->second -= less;
    count_ -= less;
    if (bucket->second == 0) buckets_.erase(bucket);
  }
}

std::vector<double> SparseBuckets::PercentilesNs(std::span<const double> percents) const {
  std::vector<double> values;
  uint64_t seen = 0;
  for (const auto& [index, count] : buckets_) {
    seen += count;
    while (values.size() < percents.size() && seen >= RankOf(percents[values.size()], count_)) {
      values.push_back(MiddleNs(index));
    }
  }
  values.resize(percents.size());
  return values;
}

Status MergeSparse(const chaos::v1::SparseHistogram& from, chaos::v1::SparseHistogram* into) {
  if (from.index_size() == 0) return absl::OkStatus();
  FL_RETURN_IF_ERROR(CheckOurs(from));
  chaos::v1::SparseHistogram sum;
  sum.set_scheme(from.scheme());
  const auto add = [&sum](uint32_t index, uint64_t count) {
    sum.add_index(index);
    sum.add_count(std::min(count, kMaxBucketCount));
  };
  int a = 0, b = 0;
  while (a < from.index_size() || b < into->index_size()) {
    const bool has_a = a < from.index_size(), has_b = b < into->index_size();
    if (has_a && has_b && from.index(a) == into->index(b)) {
      add(from.index(a), from.count(a) + into->count(b));
      ++a, ++b;
    } else if (has_a && (!has_b || from.index(a) < into->index(b))) {
      add(from.index(a), from.count(a));
      ++a;
    } else {
      add(into->index(b), into->count(b));
      ++b;
    }
  }
  *into = std::move(sum);
  return absl::OkStatus();
}

}  // namespace faultline
