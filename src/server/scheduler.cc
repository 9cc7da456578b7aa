#include "server/scheduler.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kTick{50};
// A leader's Unix clock that differs more from the one that experiments are on is worth a line.
constexpr int64_t kWrongMs = 10'000;

std::string RandomClusterId() { return fmt::format("{:016x}", RandomNumber()); }

Status NotNow(std::string_view why) {
  return MakeDetailedError(StatusCode::kUnavailable, "NOT_LEADER", why);
}

std::string LostName(const std::string& agent_id) { return "lost " + agent_id; }

uint64_t ToNs(int64_t ms) { return static_cast<uint64_t>(ms) * kNanosPerMilli; }

}  // namespace

Scheduler::Scheduler(Strand* strand, ControlPlane* plane, std::chrono::milliseconds lease)
    : strand_(strand),
      plane_(plane),
      lease_ns_(static_cast<uint64_t>(std::chrono::nanoseconds(lease).count())) {
  strand_->PostAfter(kTick, [this] { Tick(); });
}

void Scheduler::ReportSessions(const v1::ReportSessionsRequest& request,
                               Done<v1::ReportSessionsResponse> done) {
  const bool posted = strand_->Post([this, request, done] {
    const raft::View view = plane_->view();
    if (view.role != raft::Role::kLeader) return done(NotNow("this node does not lead"));
    for (const auto& session : request.sessions()) {
      if (proposed_.contains(LostName(session.agent_id()))) {
        return done(NotNow("an agent is just being declared lost"));
      }
    }
    const uint64_t now_ns = BoottimeNowNs();
    for (const auto& session : request.sessions()) {
      const AgentKey key(session.agent_id(), session.incarnation());
      reported_ns_[key] = now_ns;
      heard_ns_[key] = now_ns - std::min(now_ns, session.silent_ns());
    }
    plane_->ReadIndex([this, term = view.term, done](const StatusOr<uint64_t>& revision) {
      const auto age = plane_->quorum_age();
      if (!revision.ok()) return done(revision.status());
      if (age == std::chrono::nanoseconds::max()) return done(NotNow("no quorum"));
      v1::ReportSessionsResponse response;
      response.set_term(term);
      response.set_quorum_age_ns(static_cast<uint64_t>(age.count()));
      response.set_revision(*revision);
      done(std::move(response));
    });
  });
  if (!posted) done(NotNow("this node is busy or ending"));
}

void Scheduler::Served(std::function<void(std::vector<v1::AgentSession>)> done) {
  const bool posted = strand_->Post([this, done] {
    std::vector<v1::AgentSession> served;
    const uint64_t now_ns = BoottimeNowNs();
    for (const auto& [key, heard_ns] : heard_ns_) {
      auto& session = served.emplace_back();
      session.set_agent_id(key.first);
      session.set_incarnation(key.second);
      session.set_silent_ns(now_ns - heard_ns);
    }
    done(std::move(served));
  });
  if (!posted) done({});
}

void Scheduler::Tick() {
  strand_->PostAfter(kTick, [this] { Tick(); });
  const raft::View view = plane_->view();
  const uint64_t now_ns = BoottimeNowNs();
  const int64_t now_ms = plane_->unix_ms();
  if (view.role != raft::Role::kLeader) {
    leading_term_ = 0;
    return;
  }
  if (leading_term_ != view.term) {
    leading_term_ = view.term;
    leading_since_ns_ = now_ns;
    reported_ns_.clear();
    heard_ns_.clear();
  }
  if (ready_term_ == view.term) return Lead(now_ns, now_ms);
  // Commands of earlier terms may still have to be applied here.
  if (std::exchange(preparing_, true)) return;
  plane_->ReadIndex([this, term = view.term](const StatusOr<uint64_t>& revision) {
    strand_->Post([this, term, ready = revision.ok()] {
      preparing_ = false;
      if (ready) ready_term_ = term;
    });
  });
}

void Scheduler::Lead(uint64_t now_ns, int64_t now_ms) {
  TellClock(now_ms);
  const auto [cluster_known, next_expiry_ms] =
      plane_->With([](const control::State& state, const auto&) {
        return std::pair(!state.cluster_id.empty(), control::NextExpiryMs(state));
      });
  if (!cluster_known) {
    control::v1::Command command;
    command.mutable_init_cluster()->set_cluster_id(RandomClusterId());
    Propose("cluster", std::move(command));
  }
  if (next_expiry_ms <= now_ms) {
    control::v1::Command command;
    command.mutable_expire();
    Propose("expire", std::move(command));
  }
  CheckAgents(now_ns);
}

void Scheduler::TellClock(int64_t now_ms) {
  const int64_t own_ms = UnixNowMs();
  const bool wrong = std::abs(own_ms - now_ms) > kWrongMs;
  if (!wrong || std::exchange(clock_told_term_, leading_term_) == leading_term_) return;
  FL_LOG(warn,
         "this machine's Unix clock has been set and is {:.0f} s {} the one that experiments are "
         "on: they go by it again as soon as none is under way",
         std::abs(static_cast<double>(own_ms - now_ms)) / 1e3,
         own_ms > now_ms ? "ahead of" : "behind");
}

uint64_t Scheduler::SilentNs(const AgentKey& agent, uint64_t now_ns) const {
  const auto reported = reported_ns_.find(agent);
  const uint64_t since_ns = reported == reported_ns_.end()
                                ? leading_since_ns_
                                : std::max(leading_since_ns_, reported->second);
  return now_ns > since_ns ? now_ns - since_ns : 0;
}

uint64_t Scheduler::AllSilentNs(const std::string& agent_id, uint64_t now_ns) const {
  uint64_t silent_ns = SilentNs(AgentKey(agent_id, 0), now_ns);
  for (auto at = reported_ns_.lower_bound({agent_id, 0});
       at != reported_ns_.end() && at->first.first == agent_id; ++at) {
    silent_ns = std::min(silent_ns, SilentNs(at->first, now_ns));
  }
  return silent_ns;
}

void Scheduler::CheckAgents(uint64_t now_ns) {
  std::vector<control::v1::Command> commands;
  uint64_t longest_ns = lease_ns_;  // by which an agent may hold a fault
  plane_->With([&](const control::State& state, const auto&) {
    for (const auto& [id, agent] : state.agents) {
      const uint64_t silent_ns = SilentNs({id, agent.incarnation()}, now_ns);
      // Its node may grant longer leases than this one, and report as seldom as goes with those.
      const uint64_t granted_ns = std::max(lease_ns_, ToNs(control::LeaseMs(agent)));
      longest_ns = std::max(longest_ns, granted_ns);
      if (agent.connected() && silent_ns > granted_ns) {
        auto* gone = commands.emplace_back().mutable_agent_disconnected();
        gone->set_agent_id(id);
        gone->set_incarnation(agent.incarnation());
        gone->set_node_id(agent.node_id());
      }
      // What is registered may be an earlier start's registration that came late, while a later one
      // holds faults: no start may have been heard of.
      const uint64_t all_silent_ns = AllSilentNs(id, now_ns);
      if (all_silent_ns <= 2 * lease_ns_ || !control::IsBusy(state, id)) continue;
      // Longer than ours, where a node with another configuration began its faults or had it since.
      const uint64_t held_by_ns = ToNs(control::LongestLeaseMs(state, id));
      longest_ns = std::max(longest_ns, held_by_ns);
      if (all_silent_ns <= 2 * held_by_ns) continue;
      auto* lost = commands.emplace_back().mutable_agent_lost();
      lost->set_agent_id(id);
      lost->set_incarnation(agent.incarnation());
    }
    // What was reported of starts that are gone.
    std::erase_if(reported_ns_,
                  [&](const auto& entry) { return now_ns - entry.second > 4 * longest_ns; });
    std::erase_if(heard_ns_,
                  [&](const auto& entry) { return !reported_ns_.contains(entry.first); });
  });
  for (auto& command : commands) {
    const std::string name = command.has_agent_lost()
                                 ? LostName(command.agent_lost().agent_id())
                                 : "gone " + command.agent_disconnected().agent_id();
    Propose(name, std::move(command));
  }
}

void Scheduler::Propose(const std::string& what, control::v1::Command command) {
  if (!proposed_.insert(what).second) return;
  if (command.has_agent_lost()) {
    const LogFields about{{"agent_id", command.agent_lost().agent_id()}};
    FL_LOG(warn, "agent '{}' is lost: no node has heard of it for two leases",
           command.agent_lost().agent_id());
  }
  plane_->Propose(std::move(command), UINT64_MAX,
                  [this, what](const StatusOr<ControlPlane::Proposed>&) {
                    strand_->Post([this, what] { proposed_.erase(what); });
                  });
}

}  // namespace faultline::server
