// What is counted where things happen: relaxed atomics, so that counting costs a few nanoseconds
// and never waits. Read from any thread; one value after the other, not a moment's picture.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace faultline {

// Only grows.
class Counter {
 public:
  void Add(uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Goes up and down.
class Level {
 public:
  void Add(int64_t change) { value_.fetch_add(change, std::memory_order_relaxed); }
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Durations, in buckets that are the same everywhere.
class DurationMeter {
 public:
  // Upper bounds, each part of its bucket; a last bucket is above them all.
  static constexpr std::array<uint64_t, 16> kBoundsNs = {
      100'000,       250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,
      10'000'000,    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000,
      1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};
  static constexpr size_t kBuckets = kBoundsNs.size() + 1;

  void Record(uint64_t duration_ns) {
    const auto bound = std::lower_bound(kBoundsNs.begin(), kBoundsNs.end(), duration_ns);
    buckets_[static_cast<size_t>(bound - kBoundsNs.begin())].Add();
    sum_ns_.Add(duration_ns);
  }
  uint64_t bucket(size_t index) const { return buckets_[index].value(); }
  uint64_t sum_ns() const { return sum_ns_.value(); }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_ns_;
};

}  // namespace faultline
