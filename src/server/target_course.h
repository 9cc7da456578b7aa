// What one target's samples say of one experiment: before, during and after its fault, and the
// course of it, within bounds. Phases are told by the samples themselves: a fault is on while its
// counters are in them; no clock is compared. Not thread-safe.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <vector>

#include "chaos/v1/metrics.pb.h"
#include "chaos/v1/report.pb.h"

namespace faultline::server {

// The last time of a target without any fault, always kept.
class Baseline {
 public:
  static constexpr uint64_t kSlotNs = 1'000'000'000;

  explicit Baseline(std::chrono::nanoseconds kept)
      : kept_ns_(static_cast<uint64_t>(kept.count())) {}

  void Add(const chaos::v1::TargetSample& sample, uint64_t interval_ns);
  // Slots without any fault, oldest first.
  const std::deque<chaos::v1::Measurements>& slots() const { return slots_; }

 private:
  const uint64_t kept_ns_;
  std::deque<chaos::v1::Measurements> slots_;
  uint64_t length_ns_ = 0;
};

class TargetCourse {
 public:
  static constexpr uint64_t kAfterNs = 10'000'000'000;
  // Points of the course; when there are more, neighbours become one.
  static constexpr size_t kMaxPoints = 120;

  explicit TargetCourse(const Baseline& before);

  // A sample of the target; with or without the experiment's counters in it.
  void Add(const std::string& experiment_id, const chaos::v1::TargetSample& sample,
           uint64_t interval_ns);
  void Missing(uint64_t batches) { missing_batches_ += batches; }
  // What comes now is of no interest any more.
  bool closed() const { return after_.duration_ns() >= kAfterNs; }

  // Everything but the ids. With about `max_points` points or fewer, by making neighbours of one
  // phase one; more where phases change more often.
  chaos::v1::TargetReport ToReport(size_t max_points = kMaxPoints) const;

 private:
  struct Point {
    chaos::v1::ReportPhase phase;
    chaos::v1::Measurements measured;
    uint64_t dropped = 0;
  };
  // A fault's counters start anew whenever it is armed.
  struct Effect {
    chaos::v1::FaultCounters last;  // as they came
    chaos::v1::FaultEffect sum;
  };

  void AddEffect(const chaos::v1::FaultCounters& counters, uint64_t* dropped);
  void AddDelays(const chaos::v1::FaultDelays& delays);
  void AddPoint(chaos::v1::ReportPhase phase, const chaos::v1::Measurements& measured,
                uint64_t dropped);
  void HalvePoints();
  std::vector<Point> PointsWithin(size_t max_points) const;

  chaos::v1::Measurements before_, during_, after_;
  std::map<uint32_t, Effect> effects_;  // by fault
  std::vector<Point> points_;
  uint64_t point_ns_ = Baseline::kSlotNs;
  uint64_t batches_ = 0, missing_batches_ = 0;
};

}  // namespace faultline::server
