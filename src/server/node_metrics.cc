#include "server/node_metrics.h"

#include <algorithm>

#include "base/clock.h"
#include "base/phase_words.h"
#include "base/text.h"

namespace faultline::server {
namespace {

using http::Families;

double Seconds(std::chrono::nanoseconds duration) {
  return static_cast<double>(duration.count()) / 1e9;
}

void AddExperiments(Families& families, const control::StateData& state) {
  std::map<chaos::v1::ExperimentStatus, double> by_status = {
      {chaos::v1::EXPERIMENT_STATUS_PENDING, 0},
      {chaos::v1::EXPERIMENT_STATUS_RUNNING, 0},
      {chaos::v1::EXPERIMENT_STATUS_COMPLETED, 0},
      {chaos::v1::EXPERIMENT_STATUS_FAILED, 0}};
  std::map<std::pair<std::string, chaos::v1::TargetPhase>, double> by_phase;
  for (const auto& [index, record] : state.experiments) {
    const auto& experiment = record.experiment();
    ++by_status[experiment.status()];
    if (control::IsFinished(experiment)) continue;
    for (const auto& pair : experiment.targets()) {
      const auto fault = static_cast<int>(pair.fault_index());
      if (fault >= experiment.faults_size()) continue;
      ++by_phase[{experiment.faults(fault).kind(), pair.phase()}];
    }
  }
  for (const auto& [status, count] : by_status) {
    families.Gauge("faultline_experiments", "Experiments that this node knows, by status.", count,
                   {{"status", StatusWord(status)}});
  }
  for (const auto& [key, count] : by_phase) {
    families.Gauge("faultline_faults",
                   "Pairs of fault and target of experiments that have not ended, by phase.", count,
                   {{"kind", key.first}, {"phase", PhaseWord(key.second)}});
  }
}

void AddAgents(Families& families, const control::StateData& state) {
  const AgentCounts counts = CountAgents(state, UnixNowMs());
  const auto agents = [&](const char* state_word, size_t count) {
    families.Gauge("faultline_agents",
                   "Agents that this node knows: connected if some node holds their stream, else "
                   "disconnected, and gone after an hour.",
                   static_cast<double>(count), {{"state", state_word}});
  };
  agents("connected", counts.connected);
  agents("disconnected", counts.disconnected);
  agents("gone", counts.gone);
  families.Gauge("faultline_targets", "Targets of connected agents.",
                 static_cast<double>(counts.targets));
}

void AddLimit(Families& families, const std::string& limit, const Gate& gate) {
  families.Gauge("faultline_limit_in_use", "Things under way at once, of those that are limited.",
                 static_cast<double>(gate.count()), {{"limit", limit}});
  families.Gauge("faultline_limit_capacity", "How many there may be.",
                 static_cast<double>(gate.limits().count), {{"limit", limit}});
  families.Counter("faultline_limit_refused_total",
                   "Times that a limit was reached and the caller told to come back later.",
                   static_cast<double>(gate.refused()), {{"limit", limit}});
}

void AddFollowers(Families& families, const raft::GroupState& group, uint64_t last_index) {
  for (const raft::MemberState& state : group.members) {
    const http::Labels member = {{"member", std::to_string(state.member.id)}};
    families.Gauge("faultline_raft_follower_lag_entries",
                   "Entries of the leader's log that a member does not have (on the leader).",
                   static_cast<double>(last_index - std::min(last_index, state.match_index)),
                   member);
    if (state.last_contact != std::chrono::nanoseconds::max()) {
      families.Gauge("faultline_raft_follower_last_contact_seconds",
                     "Since a member last answered (on the leader).", Seconds(state.last_contact),
                     member);
    }
    families.Gauge("faultline_raft_follower_round_trip_seconds",
                   "Smoothed round trip to a member; 0: not measured (on the leader).",
                   static_cast<double>(state.round_trip_us) / 1e6, member);
  }
}

}  // namespace

AgentCounts CountAgents(const control::StateData& state, int64_t now_unix_ms) {
  AgentCounts counts;
  for (const auto& [id, agent] : state.agents) {
    if (agent.connected()) {
      ++counts.connected;
      counts.targets += static_cast<size_t>(agent.targets_size());
    } else if (now_unix_ms - control::ToUnixMs(agent.last_seen()) < kAgentGoneAfterMs) {
      ++counts.disconnected;
    } else {
      ++counts.gone;
    }
  }
  return counts;
}

std::map<std::string, uint64_t> WithAllRefusals(std::map<std::string, uint64_t> refused) {
  for (const char* reason : kRefusals) refused.try_emplace(reason, 0);
  return refused;
}

void NodeMetrics::Collect(std::function<void(http::Families)> done) const {
  Families families;
  AddState(families);
  AddRaft(families);
  AddLimits(families);
  AddStreams(families);
  AddCalls(families);
  AddWebhooks(families);
  auto shared = std::make_shared<Families>(std::move(families));
  node_->Inspect([this, shared, done = std::move(done)](const raft::View& view,
                                                        const raft::GroupState& group) {
    AddView(*shared, view, group);
    done(std::move(*shared));
  });
}

void NodeMetrics::AddState(Families& families) const {
  // A copy is cheap, and looked at without holding up those who apply.
  const control::StateData state =
      parts_.plane->With([](const control::StateData& present, const auto&) { return present; });
  AddExperiments(families, state);
  AddAgents(families, state);
  families.Gauge("faultline_cluster_version", "Version of commands that every member knows.",
                 state.version);
}

void NodeMetrics::AddRaft(Families& families) const {
  const raft::Meters& meters = node_->meters();
  families.Counter("faultline_raft_proposals_total", "Commands proposed on this node.",
                   meters.proposals);
  families.Counter("faultline_raft_proposals_refused_total",
                   "Commands proposed on this node that were answered with an error.",
                   meters.proposals_refused);
  families.Histogram("faultline_raft_commit_duration_seconds",
                     "From a command's proposal on this node until it was applied.", meters.commit);
  families.Histogram("faultline_raft_write_duration_seconds",
                     "One synced write of the log, with all that had come together.", meters.write);
  families.Counter("faultline_raft_write_failures_total", "Writes of the log that failed.",
                   meters.write_failures);
  families.Counter("faultline_raft_leader_changes_total",
                   "Times that another leader became known here.", meters.leader_changes);
  families.Counter("faultline_raft_elections_total", "Times that this node stood for election.",
                   meters.elections);
  const std::string help = "Snapshots, by what was done and how it ended.";
  const auto snapshots = [&](const char* what, const char* result, const Counter& count) {
    families.Counter("faultline_raft_snapshots_total", help, count,
                     {{"operation", what}, {"result", result}});
  };
  snapshots("take", "ok", meters.snapshots_taken);
  snapshots("take", "error", meters.snapshots_failed);
  snapshots("fetch", "ok", meters.snapshots_fetched);
  snapshots("fetch", "error", meters.snapshot_fetches_failed);
  families.Gauge("faultline_raft_snapshot_index", "Last entry of the newest snapshot; 0 without.",
                 static_cast<double>(meters.snapshot_index.value()));
  families.Gauge("faultline_raft_snapshot_size_bytes", "Size of the newest snapshot.",
                 static_cast<double>(meters.snapshot_bytes.value()));
  for (const auto& [reason, count] : WithAllRefusals(refused_peers_())) {
    families.Counter("faultline_raft_refused_peers_total",
                     "Connections of other nodes that were not taken.", static_cast<double>(count),
                     {{"reason", reason}});
  }
}

void NodeMetrics::AddView(Families& families, const raft::View& view,
                          const raft::GroupState& group) const {
  const auto gauge = [&](const char* name, const char* help, double value) {
    families.Gauge(name, help, value);
  };
  const bool leads = view.role == raft::Role::kLeader;
  constexpr std::array kRoles = {
      std::pair{raft::Role::kFollower, "follower"}, std::pair{raft::Role::kCandidate, "candidate"},
      std::pair{raft::Role::kLeader, "leader"}, std::pair{raft::Role::kUnavailable, "unavailable"}};
  for (const auto& [role, name] : kRoles) {
    families.Gauge("faultline_raft_role", "1 for the node's present role.", view.role == role,
                   {{"role", name}});
  }
  gauge("faultline_raft_has_leader", "1 when this node knows a leader.", view.leader_id != 0);
  gauge("faultline_raft_term", "Present term.", static_cast<double>(view.term));
  gauge("faultline_raft_commit_index", "Highest entry known to be committed.",
        static_cast<double>(view.commit_index));
  gauge("faultline_raft_applied_index", "Highest entry applied here.",
        static_cast<double>(view.applied_index));
  gauge("faultline_raft_last_index", "Last entry of this node's log.",
        static_cast<double>(group.last_index));
  gauge("faultline_raft_members", "Members of the newest configuration.",
        static_cast<double>(group.members.size()));
  gauge("faultline_raft_storage_ok", "0 while the disk takes nothing.",
        view.storage_problem.empty());
  gauge("faultline_raft_snapshots_ok", "0 while one after the other cannot be written.",
        view.snapshot_problem.empty());
  families.Counter("faultline_raft_refused_peers_total",
                   "Connections of other nodes that were not taken.",
                   static_cast<double>(group.refused_strangers), {{"reason", "NOT_A_MEMBER"}});
  if (!leads) return;
  gauge("faultline_raft_quorum_age_seconds",
        "Since a majority last acknowledged this node as leader (on the leader).",
        Seconds(parts_.plane->quorum_age()));
  AddFollowers(families, group, group.last_index);
}

void NodeMetrics::AddLimits(Families& families) const {
  AddLimit(families, "calls", parts_.gates->calls);
  AddLimit(families, "streams", parts_.gates->streams);
  AddLimit(families, "agents", parts_.gates->agents);
  AddLimit(families, "new_experiments", parts_.plane->starts());
  AddLimit(families, "commands", parts_.plane->commands());
}

void NodeMetrics::AddStreams(Families& families) const {
  const MetricsHub::Meters& meters = parts_.metrics->meters();
  const std::string batches = "Agents' measurements that came in, by way.";
  families.Counter("faultline_metric_batches_total", batches, meters.from_agents,
                   {{"from", "agent"}});
  families.Counter("faultline_metric_batches_total", batches, meters.from_nodes,
                   {{"from", "node"}});
  families.Counter("faultline_metric_batches_ignored_total",
                   "Measurements that had come before by another way.", meters.ignored);
  families.Counter("faultline_metric_batches_refused_total",
                   "Measurements that say more than an agent can measure.", meters.refused);
  families.Counter("faultline_metric_updates_total", "Updates that subscribers took.",
                   meters.updates);
  families.Counter("faultline_metric_updates_merged_total",
                   "Measurements merged into an update that a subscriber had not taken yet.",
                   meters.merged);
  families.Counter("faultline_metric_batches_missed_total",
                   "Measurements that never came, by the gaps in what their agents count.",
                   meters.missed);
  families.Counter("faultline_metric_batches_relayed_total",
                   "Measurements passed on to other nodes, by each that wanted them.",
                   meters.to_nodes);
  families.Counter("faultline_metric_relay_dropped_total",
                   "Measurements dropped because another node did not take them in time.",
                   meters.relay_dropped);
  families.Gauge("faultline_metric_subscribers", "Subscriptions to measurements on this node.",
                 static_cast<double>(parts_.metrics->subscribers()));
  const AgentSet followed = parts_.metrics->followed();
  const size_t agents = parts_.plane->With(
      [](const control::StateData& state, const auto&) { return state.agents.size(); });
  families.Gauge("faultline_metric_agents_followed",
                 "Agents whose measurements this node asks the others for.",
                 static_cast<double>(followed.all ? agents : followed.ids.size()));
}

void NodeMetrics::AddCalls(Families& families) const {
  for (const auto& [path, method] : rpcs_->methods()) {
    const http::Labels labels = {{"service", method.service}, {"method", method.name}};
    for (size_t code = 0; code < RpcMeters::kCodes; ++code) {
      if (method.ended[code].value() == 0 && code != 0) continue;
      http::Labels with_code = labels;
      with_code.emplace_back("code", CodeName(code));
      families.Counter("faultline_rpc_ended_total", "Calls and streams that have ended, by code.",
                       method.ended[code], with_code);
    }
    families.Gauge("faultline_rpc_open", "Calls and streams under way.",
                   static_cast<double>(method.open.value()), labels);
    if (method.streaming) continue;
    families.Histogram("faultline_rpc_duration_seconds",
                       "Calls from their request to their answer.", method.duration, labels);
  }
}

void NodeMetrics::AddWebhooks(Families& families) const {
  for (size_t i = 0; i < parts_.webhooks->configs().size(); ++i) {
    const Webhooks::Meters& meters = parts_.webhooks->meters(i);
    const std::string& name = parts_.webhooks->configs()[i].name;
    const auto events = [&](const char* result, const Counter& count) {
      families.Counter("faultline_webhook_events_total",
                       "Events that are settled for a webhook, by how (on the leader).", count,
                       {{"webhook", name}, {"result", result}});
    };
    events("delivered", meters.delivered);
    events("refused", meters.refused);
    events("given_up", meters.given_up);
    families.Counter("faultline_webhook_failures_total",
                     "Posts to a webhook that got no good answer and are repeated.", meters.failed,
                     {{"webhook", name}});
    families.Gauge(
        "faultline_webhook_oldest_event_seconds",
        "Age of the oldest event that a webhook has not taken; 0 without (on the leader).",
        static_cast<double>(meters.oldest_ms.value()) / 1e3, {{"webhook", name}});
  }
}

}  // namespace faultline::server
