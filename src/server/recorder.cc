#include "server/recorder.h"

#include <algorithm>

#include "base/phase_words.h"
#include "control/report_fit.h"

namespace faultline::server {

using chaos::v1::MetricsBatch;
using chaos::v1::ReportEvent;
using chaos::v1::TargetSample;

namespace {

// An experiment that ended longer ago when it is first seen comes from the log's past.
constexpr int64_t kPastMs = 60'000;
constexpr size_t kMaxSources = 10'000;

ReportEvent MakeEvent(const google::protobuf::Timestamp& time, const std::string& what,
                      const std::string& detail) {
  ReportEvent event;
  *event.mutable_time() = time;
  event.set_what(what);
  event.set_detail(detail);
  return event;
}

// So many events there may be before one of this phase finds no room: a service that is restarted
// again and again, or many targets, leave room for what went wrong and for how it ends.
size_t RoomFor(chaos::v1::TargetPhase phase) {
  switch (phase) {
    case chaos::v1::TARGET_PHASE_PENDING:
    case chaos::v1::TARGET_PHASE_ACTIVE:
      return Recorder::kMaxEvents / 2;
    case chaos::v1::TARGET_PHASE_REVERTING:
    case chaos::v1::TARGET_PHASE_REVERTED:
      return Recorder::kMaxEvents * 3 / 4;
    default:
      return Recorder::kMaxEvents - 1;
  }
}

size_t CountTargets(const chaos::v1::Experiment& experiment) {
  std::set<std::string_view> ids;
  for (const auto& pair : experiment.targets()) ids.insert(pair.target_id());
  return ids.size();
}

bool CameFirst(const ReportEvent& a, const ReportEvent& b) {
  return std::pair(a.time().seconds(), a.time().nanos()) <
         std::pair(b.time().seconds(), b.time().nanos());
}

}  // namespace

void Recorder::OnHello(const chaos::v1::AgentHello& hello) {
  const std::lock_guard lock(mutex_);
  if (sources_.size() >= kMaxSources) sources_.erase(sources_.begin());
  const auto& agent = hello.agent();
  Source& source = sources_[{agent.agent_id(), agent.incarnation()}];
  // Whoever was between has them all, or has missed them.
  const bool from_elsewhere =
      hello.last_node_id() == 0 ? source.came == 0 : hello.last_node_id() != node_id_;
  if (from_elsewhere) source.skip_until = hello.metrics_sequence();
}

void Recorder::OnBaselines(uint64_t incarnation, const chaos::v1::AgentBaselines& given) {
  const std::lock_guard lock(mutex_);
  for (const auto& target : given.targets()) {
    Before* before = BeforeOf(target.target_id());
    if (before == nullptr) continue;
    before->baseline.Take(target);
    before->given = {incarnation, given.metrics_sequence()};
  }
}

// Null when there is no room for another.
Recorder::Before* Recorder::BeforeOf(const std::string& target) {
  const auto found = befores_.find(target);
  if (found != befores_.end()) return &found->second;
  if (befores_.size() >= kMaxBaselines) return nullptr;
  return &befores_.try_emplace(target, Before{Baseline(baseline_), {}}).first->second;
}

void Recorder::OnBatch(const MetricsBatch& batch) {
  const std::lock_guard lock(mutex_);
  const auto& position = batch.position();
  Source& source = sources_[{position.agent_id(), position.incarnation()}];
  if (position.sequence() <= source.skip_until) return;
  ++source.came;
  const BatchTime when = TimeOf(batch);
  for (const TargetSample& sample : batch.samples()) AddSample(sample, when, source);
}

void Recorder::AddSample(const TargetSample& sample, const BatchTime& when, const Source& source) {
  const std::string& target = sample.target_id();
  Before* before = BeforeOf(target);
  if (before == nullptr) return;
  const bool given =
      when.incarnation == before->given.first && when.sequence <= before->given.second;
  if (!given) before->baseline.Add(sample, when);
  Courses& courses = courses_[target];
  for (const auto& counters : sample.faults()) {
    const std::string& experiment = counters.experiment_id();
    if (experiment.empty() || courses.contains(experiment)) continue;
    if (course_count_ >= kMaxCourses) continue;
    courses.emplace(experiment, TargetCourse(before->baseline, experiment, when));
    targets_of_[experiment].insert(target);
    ++course_count_;
  }
  for (auto& [experiment, course] : courses) course.Add(experiment, sample, when, source.came);
  ForgetStrange(target);
}

// Nobody will ask for the course of an experiment that this node has not heard of by its end.
void Recorder::ForgetStrange(const std::string& target) {
  const auto courses = courses_.find(target);
  course_count_ -= std::erase_if(courses->second, [&](const auto& entry) {
    const auto& [experiment, course] = entry;
    if (!course.closed() || experiments_.contains(experiment)) return false;
    targets_of_[experiment].erase(target);
    if (targets_of_[experiment].empty()) targets_of_.erase(experiment);
    return true;
  });
  if (courses->second.empty()) courses_.erase(courses);
}

void Recorder::OnChange(const Change& change, uint64_t now_ns, int64_t unix_ms) {
  const std::lock_guard lock(mutex_);
  for (const auto& experiment : change.experiments) {
    const std::string& id = experiment->experiment_id();
    const bool finished = control::IsFinished(*experiment);
    if (!experiments_.contains(id)) {
      const bool past = finished && control::ToUnixMs(experiment->ended_at()) + kPastMs < unix_ms;
      if (past || experiments_.size() >= kMaxExperiments) continue;
    }
    Note(*experiment);
    Experiment& known = experiments_[id];
    if (finished && known.ended_ns == 0) known.ended_ns = now_ns;
  }
}

void Recorder::Note(const chaos::v1::Experiment& now) {
  Experiment& known = experiments_[now.experiment_id()];
  const auto add = [&known](ReportEvent event, size_t most = kMaxEvents - 1) {
    if (known.events.size() >= most) {
      ++known.events_left_out;
      return;
    }
    known.events.push_back(std::move(event));
  };
  if (known.status == chaos::v1::EXPERIMENT_STATUS_UNSPECIFIED) {
    known.targets = CountTargets(now);
    add(MakeEvent(now.created_at(), "created",
                  fmt::format("{} by {}", now.target(), now.created_by())));
  }
  for (const auto& pair : now.targets()) {
    auto& phase = known.phases[fmt::format("{}#{}", pair.target_id(), pair.fault_index())];
    if (phase == pair.phase()) continue;
    const bool begins = phase == chaos::v1::TARGET_PHASE_UNSPECIFIED &&
                        pair.phase() == chaos::v1::TARGET_PHASE_PENDING;
    phase = pair.phase();
    if (begins) continue;
    ReportEvent event = MakeEvent(pair.phase_since(), PhaseWord(pair.phase()), pair.reason());
    event.set_target_id(pair.target_id());
    event.set_fault_index(pair.fault_index());
    add(std::move(event), RoomFor(pair.phase()));
  }
  if (control::IsFinished(now) && known.status != now.status()) {
    const bool completed = now.status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED;
    add(MakeEvent(now.ended_at(), completed ? "completed" : "failed", now.reason()), kMaxEvents);
  }
  known.status = now.status();
}

bool Recorder::HasCourses(const std::string& experiment_id) const {
  return targets_of_.contains(experiment_id);
}

bool Recorder::MeasuredEnough(const std::string& experiment_id) const {
  const auto targets = targets_of_.find(experiment_id);
  if (targets == targets_of_.end()) return false;
  return std::all_of(targets->second.begin(), targets->second.end(), [&](const auto& target) {
    return courses_.at(target).at(experiment_id).closed();
  });
}

std::vector<control::v1::RecordReport> Recorder::Due(uint64_t now_ns, bool leads) {
  const std::lock_guard lock(mutex_);
  std::vector<control::v1::RecordReport> parts;
  std::vector<std::string> old;
  for (auto& [id, experiment] : experiments_) {
    if (experiment.ended_ns == 0) continue;
    const bool measured = HasCourses(id) && !experiment.measured_done;
    const bool told = leads && !experiment.events_done;
    const bool waits = measured || told;
    if (now_ns > experiment.ended_ns + (waits ? kGiveUpNs : kForgetNs)) old.push_back(id);
    const bool late = now_ns >= experiment.ended_ns + kPatienceNs;
    if (!waits || !(late || MeasuredEnough(id))) continue;
    control::v1::RecordReport part;
    part.set_experiment_id(id);
    if (measured) AddMeasured(id, experiment, &part);
    if (told) {
      std::stable_sort(experiment.events.begin(), experiment.events.end(), CameFirst);
      for (const ReportEvent& event : experiment.events) *part.add_events() = event;
      if (experiment.events_left_out > 0) {
        part.mutable_left_out()->set_events(experiment.events_left_out);
      }
    }
    parts.push_back(std::move(part));
  }
  for (const std::string& id : old) Forget(id);
  return parts;
}

void Recorder::AddMeasured(const std::string& id, const Experiment& experiment,
                           control::v1::RecordReport* part) const {
  const std::set<std::string>& targets = targets_of_.at(id);
  const size_t points = control::PointsFor(std::max(targets.size(), experiment.targets));
  for (const std::string& target : targets) {
    auto* report = part->add_targets();
    *report = courses_.at(target).at(id).ToReport(points);
    report->set_target_id(target);
    report->set_agent_id(target.substr(0, target.rfind('/')));
    report->add_node_ids(node_id_);
    report->set_baseline_ms(static_cast<uint64_t>(baseline_.count()));
  }
}

void Recorder::Done(const std::string& experiment_id, bool with_events) {
  const std::lock_guard lock(mutex_);
  const auto found = experiments_.find(experiment_id);
  if (found == experiments_.end()) return;
  found->second.measured_done = true;
  found->second.events_done |= with_events;
}

void Recorder::Forget(const std::string& experiment_id) {
  experiments_.erase(experiment_id);
  const auto targets = targets_of_.find(experiment_id);
  if (targets == targets_of_.end()) return;
  for (const std::string& target : targets->second) {
    const auto courses = courses_.find(target);
    if (courses == courses_.end()) continue;
    course_count_ -= courses->second.erase(experiment_id);
    if (courses->second.empty()) courses_.erase(courses);
  }
  targets_of_.erase(targets);
}

}  // namespace faultline::server
