// What one target's samples say of one experiment: before, during and after its fault, and the
// course of it, within bounds. Phases are told by the samples themselves: a fault is on while its
// counters are in them. Time that nothing is known of is seen by the numbers of the agent's
// batches, and measured by its own clock; no two clocks are compared. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/baseline.h"
#include "chaos/v1/metrics.pb.h"
#include "chaos/v1/report.pb.h"
#include "server/fault_course.h"

namespace faultline::server {

class TargetCourse {
 public:
  static constexpr uint64_t kAfterNs = 10'000'000'000;
  // Points of the course; when there are more, neighbours become one.
  static constexpr size_t kMaxPoints = 120;

  // Measurements that ended longer before the fault are not compared with.
  static constexpr uint64_t kOldestNs = 3'600'000'000'000;
  // Starts of the agent of which missing batches are counted.
  static constexpr size_t kMaxRanges = 16;
  // No point is asked to be longer.
  static constexpr uint64_t kLongestPointNs = 86'400'000'000'000;

  // Of the experiment whose fault is on in the batch `first`, if not before. `follows`: the batch
  // before that came too, without the fault.
  TargetCourse(const Baseline& baseline, const std::string& experiment_id, const BatchTime& first,
               bool follows = true);

  // A sample of the target, in the order in which they were measured; with or without the
  // experiment's counters in it. `came`: how many batches of that start of the agent have come,
  // this one included; they need not all have the target.
  void Add(const std::string& experiment_id, const chaos::v1::TargetSample& sample,
           const BatchTime& when, uint64_t came);
  // What comes now is of no interest any more.
  bool closed() const { return after_.duration_ns() >= kAfterNs; }

  // Everything but the ids. With `max_points` points or fewer, by making neighbours one: of one
  // phase first, of two where phases change more often.
  chaos::v1::TargetReport ToReport(size_t max_points = kMaxPoints) const;

 private:
  struct Point {
    chaos::v1::ReportPhase phase;
    // On the course's axis; what is missing in between is not in `measured`.
    uint64_t begin_ns = 0, end_ns = 0;
    chaos::v1::Measurements measured;
    uint64_t dropped = 0;
  };
  struct Range {
    chaos::v1::BatchRange batches;
    uint64_t came = 0;  // as it was told last
  };

  // Those of the experiment that are on in the sample. Result: packets that they have lost since
  // the batch before; nothing when none is on.
  std::optional<uint64_t> AddFaults(const std::string& experiment_id,
                                    const chaos::v1::TargetSample& sample, const BatchTime& when,
                                    FaultCourse::Followed follows);
  // Result: whether a fault of another experiment is on in the sample.
  bool AddOthers(const std::string& experiment_id, const chaos::v1::TargetSample& sample,
                 const BatchTime& when, bool during);
  // What seemed to be after the fault was not.
  void ForgetAfter();
  void AddBefore(const Baseline& baseline);
  std::vector<Range>::iterator RangeOf(uint64_t incarnation);
  FaultCourse::Followed FollowedBy(const BatchTime& when, uint64_t came);
  // Moves the axis on over what is missing before the batch. Result: whether nothing is.
  bool StepTo(const BatchTime& when);
  void CountBatch(const BatchTime& when, uint64_t came);
  void AddPoint(chaos::v1::ReportPhase phase, const chaos::v1::Measurements& measured,
                uint64_t dropped);
  // Whether what follows at that time may become one with the point.
  bool Joins(const Point& point, chaos::v1::ReportPhase phase, uint64_t begin_ns) const;
  // Less than half of them only where phases change or gaps lie between.
  void HalvePoints();
  static void JoinInto(const Point& point, Point* into);
  std::vector<Point> PointsWithin(size_t max_points) const;

  chaos::v1::Measurements before_, during_, after_;
  std::map<uint32_t, FaultCourse> faults_;  // by index
  std::vector<chaos::v1::OtherExperiment> others_;
  chaos::v1::FaultBegin begin_;
  const bool follows_;  // the first batch
  uint64_t before_age_ns_ = 0;
  BatchTime last_;        // of the batch before
  uint64_t axis_ns_ = 0;  // where that ends
  std::vector<Point> points_;
  uint64_t point_ns_ = Baseline::kSlotNs;
  std::vector<Range> ranges_;
  uint64_t batches_ = 0;
};

}  // namespace faultline::server
