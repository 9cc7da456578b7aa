// Keeps, on each node, what experiments did: of the agents whose streams end here what they
// measured, of every experiment what happened. When one is over it makes this node's part of the
// report.
//
// Threads: every method may be called from any thread. Times are CLOCK_MONOTONIC unless they say
// otherwise.
#pragma once

#include <chrono>
#include <functional>
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
  // More than the agents that one node may have (Gates::agents): those that send now have room.
  static constexpr size_t kMaxSources = 20'000;
  static constexpr size_t kMaxExperiments = 10'000;
  static constexpr int kMaxEvents = 200;
  // When there is no room for another target, those that were silent for longer make room; agents
  // send once a second at least.
  static constexpr uint64_t kSilentNs = 10'000'000'000;
  // A part is made once the targets were measured long enough after the end, at the latest so much
  // later. An experiment that this node has nothing to report of is forgotten after the longer
  // time, one whose part cannot be recorded (no leader, no majority) after the longest.
  static constexpr uint64_t kPatienceNs = 15'000'000'000;
  static constexpr uint64_t kForgetNs = 120'000'000'000;
  static constexpr uint64_t kGiveUpNs = 3'600'000'000'000;
  // Of an experiment that this node has not heard of, since its log is behind, the courses are kept
  // for so long after its faults were seen last; for kSilentNs when there is little room.
  static constexpr uint64_t kStrangeNs = 600'000'000'000;

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
  // A snapshot replaced everything: what happened to each experiment meanwhile is noted as far as
  // the state tells it, and what the state knows no more is forgotten.
  void Restart(const control::State& state, uint64_t now_ns, int64_t unix_ms);

  // Parts that should be recorded now. The leader's have the events, and one is made although
  // nothing was measured here. A part is handed out again until Done.
  std::vector<control::v1::RecordReport> Due(uint64_t now_ns, bool leads);
  // The part is recorded, or cannot be.
  void Done(const std::string& experiment_id, bool with_events);

 private:
  struct Source {
    uint64_t came = 0;        // batches
    uint64_t skip_until = 0;  // those up to it are another node's
    uint64_t last = 0;        // sequence of the last one that came
    uint64_t heard = 0;       // batches and hellos of all sources by then
  };
  // A target's time without a fault. What its agent gave of it holds all batches up to `given`:
  // incarnation and sequence.
  struct Before {
    Baseline baseline;
    std::pair<uint64_t, uint64_t> given;
    uint64_t heard_ns = 0;
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
  // What an experiment's courses are of.
  struct Measured {
    std::set<std::string> targets;
    uint64_t fault_ns = 0;  // when a fault of it was seen last; 0: before any time was told
  };

  Source& SourceOf(const std::string& agent_id, uint64_t incarnation);
  // `follows`: the batch before this one came too.
  void AddSample(const chaos::v1::TargetSample& sample, const BatchTime& when, const Source& source,
                 bool follows);
  Before* BeforeOf(const std::string& target);
  void ForgetSilentTargets();
  void ForgetStrange();
  // `restored`: changes before this one may not have been told.
  void Hear(const chaos::v1::Experiment& now, bool restored, uint64_t now_ns, int64_t unix_ms);
  void Note(const chaos::v1::Experiment& now, bool restored);
  bool MeasuredEnough(const std::string& experiment_id) const;
  void AddMeasured(const std::string& id, const Experiment& experiment,
                   control::v1::RecordReport* part) const;
  bool HasCourses(const std::string& experiment_id) const;
  void Forget(const std::string& experiment_id);

  const uint64_t node_id_;
  const std::chrono::milliseconds baseline_;
  std::mutex mutex_;
  uint64_t now_ns_ = 0;     // as it was told last
  uint64_t looked_ns_ = 0;  // when silent targets were looked for
  uint64_t heard_ = 0;
  std::map<std::pair<std::string, uint64_t>, Source> sources_;  // by agent and incarnation
  std::map<std::string, Before> befores_;                       // by target
  std::map<std::string, Courses> courses_;                      // by target
  std::map<std::string, Measured> measured_;                    // by experiment
  size_t course_count_ = 0;
  std::map<std::string, Experiment> experiments_;
};

// For ControlPlane::Observe.
std::function<void(const Change&)> RecordChanges(ControlPlane* plane, Recorder* recorder);

}  // namespace faultline::server
