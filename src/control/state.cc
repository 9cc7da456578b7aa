#include "control/state.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

namespace faultline::control {

using chaos::v1::TargetPhase;
using google::protobuf::util::TimeUtil;

namespace {

using IndexSets = std::map<std::string, std::set<uint64_t>>;

const std::set<uint64_t>& SetOf(const IndexSets& sets, const std::string& key) {
  static const std::set<uint64_t> kNone;
  const auto found = sets.find(key);
  return found == sets.end() ? kNone : found->second;
}

void EraseFrom(IndexSets* sets, const std::string& key, uint64_t index) {
  const auto found = sets->find(key);
  if (found == sets->end()) return;
  found->second.erase(index);
  if (found->second.empty()) sets->erase(found);
}

}  // namespace

const v1::ExperimentRecord* State::Find(const std::string& experiment_id) const {
  const auto found = index_of_id.find(experiment_id);
  return found == index_of_id.end() ? nullptr : &experiments.at(found->second);
}

v1::ExperimentRecord* State::Find(const std::string& experiment_id) {
  const auto found = index_of_id.find(experiment_id);
  return found == index_of_id.end() ? nullptr : &experiments.Mutable(found->second);
}

void State::Enter(const v1::ExperimentRecord& record) {
  const uint64_t index = record.created_index();
  const std::pair place(record.experiment().revision(), index);
  by_revision.insert(place);
  if (record.has_report()) reported.insert(index);
  if (IsFinished(record.experiment())) {
    finished.insert(place);
  } else {
    unfinished.insert(index);
    for (const auto& pair : record.experiment().targets()) {
      unfinished_of_agent[pair.agent_id()].insert(index);
      unfinished_of_target[pair.target_id()].insert(index);
    }
    if (record.end_cause() == v1::END_CAUSE_UNSPECIFIED) {
      by_end.emplace(ToUnixMs(record.experiment().ends_at()), index);
    }
  }
}

void State::Leave(const v1::ExperimentRecord& record) {
  const std::pair place(record.experiment().revision(), record.created_index());
  by_revision.erase(place);
  reported.erase(record.created_index());
  finished.erase(place);
  if (unfinished.erase(record.created_index()) == 0) return;
  by_end.erase({ToUnixMs(record.experiment().ends_at()), record.created_index()});
  for (const auto& pair : record.experiment().targets()) {
    EraseFrom(&unfinished_of_agent, pair.agent_id(), record.created_index());
    EraseFrom(&unfinished_of_target, pair.target_id(), record.created_index());
  }
}

const std::set<uint64_t>& UnfinishedOfAgent(const State& state, const std::string& agent_id) {
  return SetOf(state.unfinished_of_agent, agent_id);
}

const std::set<uint64_t>& UnfinishedOfTarget(const State& state, const std::string& target_id) {
  return SetOf(state.unfinished_of_target, target_id);
}

bool IsBusy(const State& state, const std::string& agent_id) {
  for (const uint64_t index : UnfinishedOfAgent(state, agent_id)) {
    for (const auto& pair : state.experiments.at(index).experiment().targets()) {
      if (pair.agent_id() == agent_id && !HasEnded(pair.phase())) return true;
    }
  }
  return false;
}

int64_t LongestLeaseMs(const State& state, const std::string& agent_id) {
  int64_t longest_ms = 0;
  for (const uint64_t index : UnfinishedOfAgent(state, agent_id)) {
    for (const auto& pair : state.experiments.at(index).experiment().targets()) {
      if (pair.agent_id() != agent_id || HasEnded(pair.phase())) continue;
      longest_ms = std::max(longest_ms, TimeUtil::DurationToMilliseconds(pair.lease()));
    }
  }
  return longest_ms;
}

int64_t LeaseMs(const chaos::v1::Agent& agent) {
  return TimeUtil::DurationToMilliseconds(agent.lease());
}

void State::EnterNames(const v1::ExperimentRecord& record) {
  const uint64_t index = record.created_index();
  const auto& experiment = record.experiment();
  index_of_id[experiment.experiment_id()] = index;
  if (!experiment.request_id().empty()) index_of_request[experiment.request_id()] = index;
  Enter(record);
}

void State::Insert(v1::ExperimentRecord record) {
  EnterNames(record);
  const uint64_t index = record.created_index();
  experiments.Set(index, std::move(record));
}

void State::InsertShared(uint64_t created_index, const ExperimentMap& from) {
  EnterNames(from.at(created_index));
  experiments.Share(created_index, from);
}

void State::DropOldest() {
  while (finished.size() > kMaxFinishedExperiments) {
    uint64_t oldest = finished.begin()->second;
    if (version < 2) {
      auto at = experiments.begin();
      while (unfinished.contains(at->first)) ++at;
      oldest = at->first;
    }
    const auto& record = experiments.at(oldest);
    Leave(record);
    index_of_id.erase(record.experiment().experiment_id());
    index_of_request.erase(record.experiment().request_id());
    experiments.erase(oldest);
  }
}

void State::DropOldReports() {
  while (reported.size() > kMaxReports) {
    auto& record = experiments.Mutable(*reported.begin());
    Update(&record, [&] { record.clear_report(); });
  }
}

bool HasEnded(TargetPhase phase) {
  return phase == TargetPhase::TARGET_PHASE_REVERTED ||
         phase == TargetPhase::TARGET_PHASE_REFUSED || phase == TargetPhase::TARGET_PHASE_LOST;
}

bool IsFinished(const chaos::v1::Experiment& experiment) {
  return experiment.status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED ||
         experiment.status() == chaos::v1::EXPERIMENT_STATUS_FAILED;
}

google::protobuf::Timestamp ToTimestamp(int64_t unix_ms) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(unix_ms / 1'000);
  timestamp.set_nanos(static_cast<int32_t>(unix_ms % 1'000) * 1'000'000);
  return timestamp;
}

int64_t ToUnixMs(const google::protobuf::Timestamp& timestamp) {
  return timestamp.seconds() * 1'000 + timestamp.nanos() / 1'000'000;
}

std::string DesiredSignature(const State& state, const std::string& agent_id) {
  std::string signature;
  for (const uint64_t index : UnfinishedOfAgent(state, agent_id)) {
    for (const auto& pair : state.experiments.at(index).experiment().targets()) {
      if (pair.agent_id() != agent_id || HasEnded(pair.phase())) continue;
      const char wish = pair.phase() == TargetPhase::TARGET_PHASE_REVERTING ? '-' : '+';
      signature += fmt::format("{}{}:{}:{},", wish, index, pair.fault_index(), pair.target_id());
    }
  }
  return signature;
}

chaos::v1::DesiredState DesiredFor(const State& state, const std::string& agent_id,
                                   int64_t now_unix_ms,
                                   const std::function<int64_t(uint64_t)>& known_ms) {
  chaos::v1::DesiredState desired;
  for (const uint64_t index : UnfinishedOfAgent(state, agent_id)) {
    const auto& record = state.experiments.at(index);
    const auto& experiment = record.experiment();
    const int64_t duration_ms = TimeUtil::DurationToMilliseconds(experiment.duration());
    int64_t left_ms = std::min(ToUnixMs(experiment.ends_at()) - now_unix_ms, duration_ms);
    // Its end is the leader's to say: this machine's clock may be ahead.
    if (left_ms <= 0) left_ms = duration_ms - known_ms(index);
    if (left_ms <= 0) continue;
    for (const auto& pair : experiment.targets()) {
      if (pair.agent_id() != agent_id) continue;
      if (pair.phase() != TargetPhase::TARGET_PHASE_PENDING &&
          pair.phase() != TargetPhase::TARGET_PHASE_ACTIVE) {
        continue;
      }
      const auto& planned = record.faults(static_cast<int>(pair.fault_index()));
      auto* fault = desired.add_faults();
      fault->set_experiment_id(experiment.experiment_id());
      fault->set_fault_index(pair.fault_index());
      fault->set_target_id(pair.target_id());
      fault->set_kind(planned.fault().kind());
      *fault->mutable_config() = planned.config();
      fault->set_seed(experiment.seed());
      *fault->mutable_remaining() = TimeUtil::MillisecondsToDuration(left_ms);
    }
  }
  return desired;
}

int64_t NextExpiryMs(const State& state) {
  int64_t next = state.by_end.empty() ? INT64_MAX : state.by_end.begin()->first;
  for (const auto& [id, agent] : state.agents) {
    if (agent.connected()) continue;
    next = std::min(next, ToUnixMs(agent.last_seen()) + kForgetAgentAfterMs);
  }
  return next;
}

std::vector<std::string> AgentsToForget(const State& state, int64_t unix_ms) {
  std::vector<std::string> gone;
  for (const auto& [id, agent] : state.agents) {
    if (agent.connected() || ToUnixMs(agent.last_seen()) + kForgetAgentAfterMs > unix_ms ||
        IsBusy(state, id)) {
      continue;
    }
    gone.push_back(id);
  }
  return gone;
}

}  // namespace faultline::control
