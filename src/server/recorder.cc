#include "server/recorder.h"

#include <algorithm>

#include "control/report_fit.h"

namespace faultline::server {

using chaos::v1::MetricsBatch;
using chaos::v1::ReportEvent;
using chaos::v1::TargetSample;

namespace {

bool CameFirst(const ReportEvent& a, const ReportEvent& b) {
  return std::pair(a.time().seconds(), a.time().nanos()) <
         std::pair(b.time().seconds(), b.time().nanos());
}

}  // namespace

void Recorder::OnHello(const chaos::v1::AgentHello& hello) {
  const std::lock_guard lock(mutex_);
  Source& source = SourceOf(hello.agent().agent_id(), hello.agent().incarnation());
  // Whoever was between has them all, or has missed them.
  const bool from_elsewhere =
      hello.last_node_id() == 0 ? source.came == 0 : hello.last_node_id() != node_id_;
  if (from_elsewhere) source.skip_until = hello.metrics_sequence();
}

// The one that was silent longest makes room for another.
Recorder::Source& Recorder::SourceOf(const std::string& agent_id, uint64_t incarnation) {
  const std::pair key(agent_id, incarnation);
  if (sources_.size() >= kMaxSources && !sources_.contains(key)) {
    sources_.erase(std::min_element(sources_.begin(), sources_.end(), [](auto& a, auto& b) {
      return a.second.heard < b.second.heard;
    }));
  }
  Source& source = sources_[key];
  source.heard = ++heard_;
  return source;
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

// Null when there is no room for another: then it has no "before".
Recorder::Before* Recorder::BeforeOf(const std::string& target) {
  auto found = befores_.find(target);
  if (found == befores_.end()) {
    if (befores_.size() >= kMaxBaselines) ForgetSilentTargets();
    if (befores_.size() >= kMaxBaselines) return nullptr;
    found = befores_.try_emplace(target, Before{Baseline(baseline_), {}, 0}).first;
  }
  found->second.heard_ns = now_ns_;
  return &found->second;
}

// At the most an eighth of all, those that were silent longest; once for each time that is told.
void Recorder::ForgetSilentTargets() {
  if (std::exchange(looked_ns_, now_ns_) == now_ns_) return;
  std::vector<uint64_t> silent;
  for (const auto& [target, before] : befores_) {
    if (before.heard_ns + kSilentNs < now_ns_) silent.push_back(before.heard_ns);
  }
  if (silent.empty()) return;
  const auto last =
      silent.begin() + static_cast<ptrdiff_t>(std::min(silent.size(), kMaxBaselines / 8) - 1);
  std::nth_element(silent.begin(), last, silent.end());
  std::erase_if(befores_, [&](const auto& entry) { return entry.second.heard_ns <= *last; });
}

void Recorder::OnBatch(const MetricsBatch& batch) {
  const std::lock_guard lock(mutex_);
  const auto& position = batch.position();
  Source& source = SourceOf(position.agent_id(), position.incarnation());
  if (position.sequence() <= source.skip_until) return;
  ++source.came;
  // It was overtaken by a later one on another stream of its agent: it is not missing, no more.
  if (position.sequence() <= source.last) return;
  const bool follows = std::exchange(source.last, position.sequence()) + 1 == position.sequence();
  const BatchTime when = TimeOf(batch);
  for (const TargetSample& sample : batch.samples()) AddSample(sample, when, source, follows);
}

void Recorder::AddSample(const TargetSample& sample, const BatchTime& when, const Source& source,
                         bool follows) {
  const std::string& target = sample.target_id();
  Before* before = BeforeOf(target);
  const bool given = before != nullptr && when.incarnation == before->given.first &&
                     when.sequence <= before->given.second;
  if (before != nullptr && !given) before->baseline.Add(sample, when);
  Courses& courses = courses_[target];
  for (const auto& counters : sample.faults()) {
    const std::string& experiment = counters.experiment_id();
    if (experiment.empty()) continue;
    if (!courses.contains(experiment)) {
      if (course_count_ >= kMaxCourses) continue;
      courses.emplace(experiment, TargetCourse(before == nullptr ? Baseline() : before->baseline,
                                               experiment, when, follows));
      ++course_count_;
    }
    Measured& measured = measured_[experiment];
    measured.targets.insert(target);
    measured.fault_ns = now_ns_;
  }
  for (auto& [experiment, course] : courses) course.Add(experiment, sample, when, source.came);
  if (courses.empty()) courses_.erase(target);
}

// Nobody may ever ask for these courses. They make room before it is needed.
void Recorder::ForgetStrange() {
  const uint64_t keep_ns = course_count_ > kMaxCourses / 8 * 7 ? kSilentNs : kStrangeNs;
  std::vector<std::string> old;
  for (auto& [experiment, measured] : measured_) {
    if (measured.fault_ns == 0) measured.fault_ns = now_ns_;
    const bool strange = !experiments_.contains(experiment);
    if (strange && now_ns_ > measured.fault_ns + keep_ns) old.push_back(experiment);
  }
  for (const std::string& experiment : old) Forget(experiment);
}

bool Recorder::HasCourses(const std::string& experiment_id) const {
  return measured_.contains(experiment_id);
}

bool Recorder::MeasuredEnough(const std::string& experiment_id) const {
  const auto measured = measured_.find(experiment_id);
  if (measured == measured_.end()) return false;
  const auto& targets = measured->second.targets;
  return std::all_of(targets.begin(), targets.end(), [&](const auto& target) {
    return courses_.at(target).at(experiment_id).closed();
  });
}

std::vector<control::v1::RecordReport> Recorder::Due(uint64_t now_ns, bool leads) {
  const std::lock_guard lock(mutex_);
  now_ns_ = now_ns;
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
  ForgetStrange();
  return parts;
}

void Recorder::AddMeasured(const std::string& id, const Experiment& experiment,
                           control::v1::RecordReport* part) const {
  const std::set<std::string>& targets = measured_.at(id).targets;
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
  const auto measured = measured_.find(experiment_id);
  if (measured == measured_.end()) return;
  for (const std::string& target : measured->second.targets) {
    const auto courses = courses_.find(target);
    if (courses == courses_.end()) continue;
    course_count_ -= courses->second.erase(experiment_id);
    if (courses->second.empty()) courses_.erase(courses);
  }
  measured_.erase(measured);
}

}  // namespace faultline::server
