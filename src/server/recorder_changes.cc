// What a recorder notes of experiments' changes.
#include "base/clock.h"
#include "base/phase_words.h"
#include "server/recorder.h"

namespace faultline::server {

using chaos::v1::ReportEvent;

namespace {

// An experiment that ended longer ago when it is first seen comes from the log's past.
constexpr int64_t kPastMs = 60'000;

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

}  // namespace

void Recorder::OnChange(const Change& change, uint64_t now_ns, int64_t unix_ms) {
  const std::lock_guard lock(mutex_);
  now_ns_ = now_ns;
  for (const auto& experiment : change.experiments) Hear(*experiment, false, now_ns, unix_ms);
}

void Recorder::Restart(const control::State& state, uint64_t now_ns, int64_t unix_ms) {
  const std::lock_guard lock(mutex_);
  now_ns_ = now_ns;
  std::vector<std::string> gone;
  for (const auto& [id, experiment] : experiments_) {
    if (state.Find(id) == nullptr) gone.push_back(id);
  }
  for (const std::string& id : gone) Forget(id);
  for (const auto& [index, record] : state.experiments) {
    Hear(record.experiment(), true, now_ns, unix_ms);
    if (record.report().events().empty()) continue;
    const auto known = experiments_.find(record.experiment().experiment_id());
    if (known != experiments_.end()) known->second.events_done = true;
  }
}

void Recorder::Hear(const chaos::v1::Experiment& now, bool restored, uint64_t now_ns,
                    int64_t unix_ms) {
  const std::string& id = now.experiment_id();
  const bool finished = control::IsFinished(now);
  if (!experiments_.contains(id)) {
    const bool past = finished && control::ToUnixMs(now.ended_at()) + kPastMs < unix_ms;
    if ((past && !HasCourses(id)) || experiments_.size() >= kMaxExperiments) return;
  }
  Note(now, restored);
  Experiment& known = experiments_[id];
  if (finished && known.ended_ns == 0) known.ended_ns = now_ns;
}

void Recorder::Note(const chaos::v1::Experiment& now, bool restored) {
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
    const bool waited =
        phase == chaos::v1::TARGET_PHASE_UNSPECIFIED || phase == chaos::v1::TARGET_PHASE_PENDING;
    const bool begins = phase == chaos::v1::TARGET_PHASE_UNSPECIFIED &&
                        pair.phase() == chaos::v1::TARGET_PHASE_PENDING;
    phase = pair.phase();
    // An end without an "active" before it says that it never was (UnmeasuredTargets), which what
    // missed some changes does not know.
    const bool doubtful = restored && waited && phase == chaos::v1::TARGET_PHASE_REVERTING;
    if (begins || doubtful) continue;
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

std::function<void(const Change&)> RecordChanges(ControlPlane* plane, Recorder* recorder) {
  return [plane, recorder](const Change& change) {
    const int64_t unix_ms = UnixNowMs();
    if (!change.restored) return recorder->OnChange(change, MonotonicNowNs(), unix_ms);
    plane->With([&](const control::State& state, const auto&) {
      recorder->Restart(state, MonotonicNowNs(), unix_ms);
    });
  };
}

}  // namespace faultline::server
