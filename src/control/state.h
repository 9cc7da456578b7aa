// What every node knows: experiments and agents. Pure data, ordered, so that iterating it is the
// same on every node.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "chaos/v1/agent.pb.h"
#include "chaos/v1/experiment.pb.h"
#include "control/cow_map.h"
#include "control/v1/command.pb.h"
#include "control/v1/state.pb.h"
#include "control/version.h"

namespace faultline::control {

namespace v1 = ::control::v1;

// Finished experiments that are kept; beyond it the oldest is forgotten, its request id too.
inline constexpr size_t kMaxFinishedExperiments = 10'000;
// Pairs of fault and target in one experiment.
inline constexpr size_t kMaxPairs = 1'000;
// Reports that are kept: of the experiments that were created last.
inline constexpr size_t kMaxReports = 1'000;
// A disconnected agent without unfinished faults is forgotten after this time.
inline constexpr int64_t kForgetAgentAfterMs = 24LL * 3'600 * 1'000;

// Webhooks whose cursors are kept; beyond it those that are furthest behind are forgotten.
inline constexpr size_t kMaxWebhookCursors = 64;

using AgentMap = CowMap<std::string, chaos::v1::Agent>;        // by id
using ExperimentMap = CowMap<uint64_t, v1::ExperimentRecord>;  // by created_index

// What a snapshot holds. A copy is cheap, and another thread may read it while the original goes on
// changing.
struct StateData {
  std::string cluster_id;
  uint32_t version = kFirstVersion;  // what every member supports: control/version.h
  AgentMap agents;
  ExperimentMap experiments;
  std::map<std::string, uint64_t> webhooks;  // cursors, by name
};

struct State : StateData {
  // Derived from `experiments`.
  std::map<std::string, uint64_t> index_of_id;
  std::map<std::string, uint64_t> index_of_request;
  std::set<uint64_t> unfinished;
  std::map<std::string, std::set<uint64_t>> unfinished_of_agent;   // by agent id; no empty sets
  std::map<std::string, std::set<uint64_t>> unfinished_of_target;  // by target id; no empty sets
  // (ends_at in Unix ms, created_index) of the unfinished whose end has not begun.
  std::set<std::pair<int64_t, uint64_t>> by_end;
  std::set<std::pair<uint64_t, uint64_t>> by_revision;  // (revision, created_index) of all
  std::set<std::pair<uint64_t, uint64_t>> finished;     // the same of the finished ones
  std::set<uint64_t> reported;                          // those that have a report

  // nullptr when there is none.
  const v1::ExperimentRecord* Find(const std::string& experiment_id) const;
  // To be changed; valid until the state is copied or another record is inserted or forgotten.
  v1::ExperimentRecord* Find(const std::string& experiment_id);
  void Insert(v1::ExperimentRecord record);
  // The same, sharing `from`'s record of that index.
  void InsertShared(uint64_t created_index, const ExperimentMap& from);
  // Calls change() and keeps what is derived from the record's experiment right.
  template <typename Change>
  void Update(v1::ExperimentRecord* record, Change change) {
    Leave(*record);
    change();
    Enter(*record);
  }
  // Forgets finished experiments beyond kMaxFinishedExperiments: those that ended first, or, before
  // version 2, those that were created first.
  void DropOldest();
  // Takes their reports from all but the newest kMaxReports that have one.
  void DropOldReports();

 private:
  void Enter(const v1::ExperimentRecord& record);
  void EnterNames(const v1::ExperimentRecord& record);
  void Leave(const v1::ExperimentRecord& record);
};

// Indexes of the unfinished experiments with pairs on the agent, on the target.
const std::set<uint64_t>& UnfinishedOfAgent(const State& state, const std::string& agent_id);
const std::set<uint64_t>& UnfinishedOfTarget(const State& state, const std::string& target_id);
// True when a pair on the agent has not ended.
bool IsBusy(const State& state, const std::string& agent_id);
// The longest lease, in milliseconds, by which the agent may hold one of its pairs that have not
// ended: of the node that began it, or of one that the agent was registered by since. 0 without
// any.
int64_t LongestLeaseMs(const State& state, const std::string& agent_id);
// The longest that this start of the agent may have been granted, in milliseconds. 0: not told.
int64_t LeaseMs(const chaos::v1::Agent& agent);

// True when the fault of such a pair has ended: reverted, refused or lost.
bool HasEnded(chaos::v1::TargetPhase phase);
// True when the experiment is COMPLETED or FAILED.
bool IsFinished(const chaos::v1::Experiment& experiment);

// Unix milliseconds to a message's timestamp and back.
google::protobuf::Timestamp ToTimestamp(int64_t unix_ms);
int64_t ToUnixMs(const google::protobuf::Timestamp& timestamp);

// What should be on the agent's targets at that time: pairs that are desired, with the time left,
// never more than the experiment's duration. Of one whose end is past by that clock and that has
// not been ended, the time left is by how many milliseconds ago it was heard of (by its index;
// INT64_MAX: not known, it is left out). `version` is not filled in.
chaos::v1::DesiredState DesiredFor(
    const State& state, const std::string& agent_id, int64_t now_unix_ms,
    const std::function<int64_t(uint64_t)>& known_ms = [](uint64_t) { return INT64_MAX; });

// Tells which of the agent's pairs are desired and which are to be reverted: the agent is told
// again when it changes.
std::string DesiredSignature(const State& state, const std::string& agent_id);

// The earliest time at which Expire has something to do; INT64_MAX when there is nothing.
int64_t NextExpiryMs(const State& state);
// Agents that Expire forgets at that time.
std::vector<std::string> AgentsToForget(const State& state, int64_t unix_ms);

}  // namespace faultline::control
