#include "server/agent_sessions.h"

#include <google/protobuf/util/time_util.h>

#include <atomic>
#include <optional>

#include "base/clock.h"
#include "base/log.h"
#include "control/reports.h"

namespace faultline::server {
namespace {

using chaos::v1::ConnectResponse;
using google::protobuf::util::TimeUtil;

using namespace std::chrono_literals;

constexpr uint64_t kProposeNs = 10 * kNanosPerSecond;
// A registration that was applied on the leader shows here within this time, or is made again.
constexpr std::chrono::milliseconds kRetry{500};
// How long agents are not looked at, in times of the last look.
constexpr int kSyncRest = 9;

CallContext ForAgent(const std::string& agent_id) {
  return {{"agent " + agent_id, false}, MonotonicNowNs() + kProposeNs};
}

}  // namespace

struct AgentSessions::Session {
  uint64_t id = 0;
  std::shared_ptr<AgentStream> stream;
  chaos::v1::Agent agent;
  uint64_t last_heard_ns = 0;               // of a renewal, CLOCK_BOOTTIME
  uint64_t authority_ns = 0;                // as Authority grants it; 0: never
  std::optional<uint64_t> pending_renewal;  // the agent's sent_boottime_ns, not granted yet
  bool registering = false;
  bool accepted = false;    // the leader has applied the registration
  bool registered = false;  // so has this node
  bool reporting = false;
  std::optional<chaos::v1::FaultReports> reports;  // newest
  std::optional<std::string> told;                 // signature of the desired state last sent
};

// What a look at the state says about a session.
struct AgentSessions::Difference {
  // The state has the agent on this node, with this start, connected, and what it is granted here.
  bool known_here = false;
  bool elsewhere = false;  // another node or another start has taken over
  std::string signature;
  chaos::v1::DesiredState desired;
  std::vector<chaos::v1::FaultReport> news;
};

AgentSessions::AgentSessions(Options options, Strand* strand, ControlPlane* plane,
                             LeaderClient* leader, Peers* peers, Scheduler* scheduler)
    : options_(options),
      lease_ns_(static_cast<uint64_t>(std::chrono::nanoseconds(options.lease).count())),
      strand_(strand),
      plane_(plane),
      leader_(leader),
      authority_(options.node_id, strand, plane, peers, scheduler, options.lease,
                 {[this] { return Live(); },
                  [this](const std::vector<uint64_t>& ids, uint64_t authority_ns) {
                    for (const uint64_t id : ids) {
                      const auto found = sessions_.find(id);
                      if (found == sessions_.end()) continue;
                      found->second.authority_ns = authority_ns;
                      TryGrant(found->second);
                    }
                  }}) {}

AgentSessions::~AgentSessions() = default;

void AgentSessions::Start() { authority_.Start(); }

uint64_t AgentSessions::NextId() {
  static std::atomic<uint64_t> next{1};
  return next++;
}

void AgentSessions::On(uint64_t id, std::function<void(Session&)> task) {
  strand_->Post([this, id, task = std::move(task)] {
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) task(found->second);
  });
}

void AgentSessions::OnHello(uint64_t id, std::shared_ptr<AgentStream> stream,
                            chaos::v1::AgentHello hello) {
  strand_->Post(
      [this, id, stream = std::move(stream), agent = hello.agent()] { Open(id, stream, agent); });
}

void AgentSessions::Open(uint64_t id, std::shared_ptr<AgentStream> stream,
                         const chaos::v1::Agent& agent) {
  const std::string cluster_id = plane_->version().cluster_id();
  if (cluster_id.empty()) {
    return stream->Close(MakeDetailedError(StatusCode::kUnavailable, "NO_LEADER",
                                           "the cluster has never had a leader yet"));
  }
  const auto old = newest_.find(agent.agent_id());
  if (old != newest_.end()) {
    sessions_.at(old->second)
        .stream->Close(MakeError(StatusCode::kAborted, "the agent has opened another stream"));
  }
  newest_[agent.agent_id()] = id;
  Session& session = sessions_[id];
  session.id = id;
  session.stream = std::move(stream);
  session.agent = agent;
  session.agent.set_node_id(options_.node_id);
  session.agent.clear_lease();  // Register's to say
  session.last_heard_ns = BoottimeNowNs();
  FL_LOG(info, "agent '{}' has connected, with {} targets", agent.agent_id(), agent.targets_size());
  ConnectResponse response;
  response.mutable_welcome()->set_cluster_id(cluster_id);
  response.mutable_welcome()->set_node_id(options_.node_id);
  response.mutable_welcome()->set_baseline_ms(static_cast<uint64_t>(options_.baseline.count()));
  session.stream->Send(std::move(response));
  Sync(session);
  authority_.Ask();
}

void AgentSessions::OnClosed(uint64_t id) {
  strand_->Post([this, id] {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    const chaos::v1::Agent agent = std::move(found->second.agent);
    sessions_.erase(found);
    const auto newest = newest_.find(agent.agent_id());
    if (newest == newest_.end() || newest->second != id) return;
    newest_.erase(newest);
    FL_LOG(info, "agent '{}' has disconnected", agent.agent_id());
    control::v1::Command command;
    command.mutable_agent_disconnected()->set_agent_id(agent.agent_id());
    command.mutable_agent_disconnected()->set_incarnation(agent.incarnation());
    command.mutable_agent_disconnected()->set_node_id(options_.node_id);
    // When it fails, the leader sees for itself that nobody reports the agent any more.
    leader_->Propose(ForAgent(agent.agent_id()), command, [](const auto&) {});
  });
}

void AgentSessions::OnRenewal(uint64_t id, const chaos::v1::LeaseRenewal& renewal) {
  On(id, [this, sent_ns = renewal.sent_boottime_ns()](Session& session) {
    const uint64_t now_ns = BoottimeNowNs();
    // Silent for so long, it was left out of the reports: it must be in one again first.
    const bool was_silent = now_ns - session.last_heard_ns > lease_ns_;
    session.last_heard_ns = now_ns;
    session.pending_renewal = sent_ns;
    if (was_silent) authority_.Ask();
    TryGrant(session);
  });
}

void AgentSessions::TryGrant(Session& session) {
  if (!session.registered || !session.pending_renewal || session.authority_ns == 0) return;
  if (BoottimeNowNs() - session.authority_ns >= lease_ns_ / 2) return;
  ConnectResponse response;
  auto* grant = response.mutable_grant();
  *grant->mutable_version() = plane_->version();
  grant->set_sent_boottime_ns(*session.pending_renewal);
  *grant->mutable_lease() = TimeUtil::MillisecondsToDuration(options_.lease.count());
  session.pending_renewal.reset();
  // What is desired goes first: the lease must not hold up what is to be reverted.
  Sync(session);
  if (session.registered) session.stream->Send(std::move(response));
}

void AgentSessions::OnReports(uint64_t id, chaos::v1::FaultReports reports) {
  On(id, [this, reports = std::move(reports)](Session& session) {
    if (reports.incarnation() != session.agent.incarnation()) return;
    session.reports = reports;
    Sync(session);
  });
}

void AgentSessions::OnChange(const Change& change) {
  authority_.OnApplied();
  if (change.agents.empty() && !change.restored) return;
  {
    const std::lock_guard lock(changed_mutex_);
    changed_.insert(change.agents.begin(), change.agents.end());
    restored_ |= change.restored;
    if (std::exchange(sync_posted_, true)) return;
  }
  strand_->Post([this] { SyncChanged(); });
}

void AgentSessions::Served(std::function<void(std::vector<v1::AgentSession>)> done) {
  const bool posted = strand_->Post([this, done] {
    std::vector<v1::AgentSession> served;
    for (const Authority::Session& live : Live()) {
      auto& session = served.emplace_back();
      session.set_agent_id(live.agent_id);
      session.set_incarnation(live.incarnation);
      session.set_silent_ns(live.silent_ns);
    }
    done(std::move(served));
  });
  if (!posted) done({});
}

void AgentSessions::CloseAll() {
  strand_->Post([this] {
    for (auto& [id, session] : sessions_) {
      session.stream->Close(MakeError(StatusCode::kUnavailable, "this node is ending"));
    }
  });
}

void AgentSessions::SyncAgent(const std::string& agent_id) {
  const auto found = newest_.find(agent_id);
  if (found == newest_.end()) return;
  Session& session = sessions_.at(found->second);
  if (!session.stream->Behind()) Sync(session);
}

void AgentSessions::SyncChanged() {
  std::set<std::string> changed;
  bool restored = false;
  {
    const std::lock_guard lock(changed_mutex_);
    sync_posted_ = !changed_.empty() || restored_;
    if (!sync_posted_) return;
    changed.swap(changed_);
    restored = std::exchange(restored_, false);
  }
  const uint64_t begin_ns = MonotonicNowNs();
  if (restored) {
    for (auto& [id, session] : sessions_) Sync(session);
  } else {
    for (const auto& id : changed) SyncAgent(id);
  }
  const std::chrono::nanoseconds took(MonotonicNowNs() - begin_ns);
  strand_->PostAfter(kSyncRest * took, [this] { SyncChanged(); });
}

void AgentSessions::OnDrained(uint64_t id) {
  On(id, [this](Session& session) { Sync(session); });
}

AgentSessions::Difference AgentSessions::Compare(const Session& session) const {
  const int64_t now_unix_ms = plane_->unix_ms();
  return plane_->With([&](const control::State& state, const chaos::v1::StateVersion& version) {
    Difference difference;
    const std::string& id = session.agent.agent_id();
    const auto found = state.agents.find(id);
    if (found != state.agents.end()) {
      const auto& known = found->second;
      const bool mine =
          known.node_id() == options_.node_id && known.incarnation() == session.agent.incarnation();
      // Below that version the lease cannot be told.
      const bool lease_known = state.version < control::kLeaseVersion ||
                               control::LeaseMs(known) >= options_.lease.count();
      difference.known_here = mine && known.connected() && lease_known;
      difference.elsewhere = !mine && known.connected();
    }
    difference.signature = control::DesiredSignature(state, id);
    if (session.told != difference.signature) {
      const auto known_ms = [this](uint64_t index) { return plane_->KnownMs(index); };
      difference.desired = control::DesiredFor(state, id, now_unix_ms, known_ms);
      *difference.desired.mutable_version() = version;
    }
    if (session.reports) difference.news = control::NewReports(state, id, *session.reports);
    return difference;
  });
}

void AgentSessions::Sync(Session& session) {
  Difference difference = Compare(session);
  if (session.registered && difference.elsewhere) {
    return session.stream->Close(
        MakeError(StatusCode::kAborted, "the agent is connected to another node"));
  }
  const bool was_registered = session.registered;
  session.registered = session.accepted && difference.known_here;
  // Until the cluster knows of this start of the agent, it takes what an earlier start was to
  // revert for reverted: a fault that this start armed before would go on beside that.
  if (!session.registered) return Register(session);
  if (session.told != difference.signature) {
    session.told = difference.signature;
    ConnectResponse response;
    *response.mutable_desired() = std::move(difference.desired);
    session.stream->Send(std::move(response));
  }
  if (!difference.news.empty()) Report(session, std::move(difference.news));
  if (!was_registered) TryGrant(session);
}

void AgentSessions::Register(Session& session) {
  if (std::exchange(session.registering, true)) return;
  control::v1::Command command;
  auto* agent = command.mutable_register_agent()->mutable_agent();
  *agent = session.agent;
  const uint32_t version =
      plane_->With([](const control::State& state, const auto&) { return state.version; });
  // Who leads must know, before it is granted, for how long the agent may hold a fault: this node
  // may be gone by then, and others may grant shorter leases.
  if (version >= control::kLeaseVersion) {
    *agent->mutable_lease() = TimeUtil::MillisecondsToDuration(options_.lease.count());
  }
  leader_->Propose(ForAgent(session.agent.agent_id()), command,
                   [this, id = session.id](const StatusOr<control::v1::Result>& result) {
                     On(id, [this, id, applied = result.ok()](Session& again) {
                       again.accepted |= applied;
                       strand_->PostAfter(kRetry, [this, id] {
                         On(id, [this](Session& later) {
                           later.registering = false;
                           Sync(later);
                         });
                       });
                       Sync(again);
                     });
                   });
}

void AgentSessions::Report(Session& session, std::vector<chaos::v1::FaultReport> news) {
  if (std::exchange(session.reporting, true)) return;
  control::v1::Command command;
  auto* report = command.mutable_report_faults();
  report->set_agent_id(session.agent.agent_id());
  report->set_incarnation(session.agent.incarnation());
  for (auto& entry : news) *report->add_reports() = std::move(entry);
  leader_->Propose(ForAgent(session.agent.agent_id()), command,
                   [this, id = session.id](const StatusOr<control::v1::Result>& result) {
                     const std::chrono::milliseconds pause = result.ok() ? 0ms : kRetry;
                     strand_->PostAfter(pause, [this, id] {
                       On(id, [this](Session& again) {
                         again.reporting = false;
                         Sync(again);
                       });
                     });
                   });
}

std::vector<Authority::Session> AgentSessions::Live() const {
  std::vector<Authority::Session> live;
  const uint64_t now_ns = BoottimeNowNs();
  for (const auto& [agent_id, id] : newest_) {
    const Session& session = sessions_.at(id);
    if (now_ns - session.last_heard_ns > lease_ns_) continue;
    live.push_back({id, agent_id, session.agent.incarnation(), now_ns - session.last_heard_ns});
  }
  return live;
}

}  // namespace faultline::server
