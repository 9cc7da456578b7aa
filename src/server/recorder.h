// Keeps, on each node, what experiments did: of the agents whose streams end here what they
// measured, of every experiment what happened. When one is over it makes this node's part of the
// report.
//
// Threads: every method may be called from any thread. Times are CLOCK_MONOTONIC unless they say
// otherwise.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "chaos/v1/agent.pb.h"
#include "control/v1/command.pb.h"
#include "server/control_plane.h"
#include "server/target_course.h"

namespace faultline::server {

class Recorder {
 public:
  // Bounds of what is kept: courses (one target of one experiment), targets with a baseline,
  // experiments with events, and events of one experiment (others are counted).
  static constexpr size_t kMaxCourses = 20'000;
  static constexpr size_t kMaxBaselines = 20'000;
  static constexpr size_t kMaxExperiments = 10'000;
  static constexpr int kMaxEvents = 200;
  // A part is made once the targets were measured long enough after the end, at the latest so much
  // later. An experiment that this node has nothing to report of is forgotten after the longer
  // time, one whose part cannot be recorded (no leader, no majority) after the longest.
  static constexpr uint64_t kPatienceNs = 15'000'000'000;
  static constexpr uint64_t kForgetNs = 120'000'000'000;
  static constexpr uint64_t kGiveUpNs = 3'600'000'000'000;

  // `baseline`: how much of each target is kept from before a fault.
  explicit Recorder(uint64_t node_id, std::chrono::milliseconds baseline = Baseline::kDefaultKept)
      : node_id_(node_id), baseline_(baseline) {}

  // An agent has connected to this node: its batches up to its `metrics_sequence` are sent again,
  // and may have reached another node.
  void OnHello(const chaos::v1::AgentHello& hello);
  // What it, of that incarnation, has kept of its own targets, before any of its batches.
  void OnBaselines(uint64_t incarnation, const chaos::v1::AgentBaselines& given);
  // A batch of such an agent, each once.
  void OnBatch(const chaos::v1::MetricsBatch& batch);
  // What ControlPlane tells. `unix_ms`: now, so that what is replayed from long ago is left out.
  void OnChange(const Change& change, uint64_t now_ns, int64_t unix_ms);

  // Parts that should be recorded now. The leader's have the events, and one is made although
  // nothing was measured here. A part is handed out again until Done.
  std::vector<control::v1::RecordReport> Due(uint64_t now_ns, bool leads);
  // The part is recorded, or cannot be.
  void Done(const std::string& experiment_id, bool with_events);

 private:
  struct Source {
    uint64_t came = 0;        // batches
    uint64_t skip_until = 0;  // those up to it are another node's
  };
  // A target's time without a fault. What its agent gave of it holds all batches up to `given`:
  // incarnation and sequence.
  struct Before {
    Baseline baseline;
    std::pair<uint64_t, uint64_t> given;
  };
  struct Experiment {
    std::map<std::string, chaos::v1::TargetPhase> phases;  // by target and fault
    chaos::v1::ExperimentStatus status = chaos::v1::EXPERIMENT_STATUS_UNSPECIFIED;
    std::vector<chaos::v1::ReportEvent> events;
    uint64_t events_left_out = 0;  // there was no room for them
    size_t targets = 0;            // on all nodes
    uint64_t ended_ns = 0;         // 0: not yet
    bool measured_done = false, events_done = false;
  };
  using Courses = std::map<std::string, TargetCourse>;  // by experiment

  void AddSample(const chaos::v1::TargetSample& sample, const BatchTime& when,
                 const Source& source);
  Before* BeforeOf(const std::string& target);
  void ForgetStrange(const std::string& target);
  void Note(const chaos::v1::Experiment& now);
  bool MeasuredEnough(const std::string& experiment_id) const;
  void AddMeasured(const std::string& id, const Experiment& experiment,
                   control::v1::RecordReport* part) const;
  bool HasCourses(const std::string& experiment_id) const;
  void Forget(const std::string& experiment_id);

  const uint64_t node_id_;
  const std::chrono::milliseconds baseline_;
  std::mutex mutex_;
  std::map<std::pair<std::string, uint64_t>, Source> sources_;  // by agent and incarnation
  std::map<std::string, Before> befores_;                       // by target
  std::map<std::string, Courses> courses_;                      // by target
  std::map<std::string, std::set<std::string>> targets_of_;     // by experiment
  size_t course_count_ = 0;
  std::map<std::string, Experiment> experiments_;
};

}  // namespace faultline::server
