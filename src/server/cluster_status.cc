// Cluster::Get: all members are asked at once, and what they say of themselves is put together with
// what the leader says of them.
#include <algorithm>
#include <map>
#include <mutex>

#include "base/clock.h"
#include "server/cluster.h"

namespace faultline::server {
namespace {

constexpr uint64_t kWaitNs = kNanosPerSecond;
// A leader whose quorum is older than so many election timeouts has none any more.
constexpr uint64_t kQuorumTimeouts = 2;
constexpr std::chrono::seconds kMeetEvery{2};

using Answers = std::map<uint64_t, v1::DescribeResponse>;  // by node

google::protobuf::Duration ToDuration(uint64_t ns) {
  google::protobuf::Duration duration;
  duration.set_seconds(static_cast<int64_t>(ns / kNanosPerSecond));
  duration.set_nanos(static_cast<int32_t>(ns % kNanosPerSecond));
  return duration;
}

// The one of the highest term; nobody when none leads.
const v1::DescribeResponse* LeaderOf(const Answers& answers) {
  const v1::DescribeResponse* leader = nullptr;
  for (const auto& [id, answer] : answers) {
    if (answer.role() != v1::ROLE_LEADER) continue;
    if (leader == nullptr || answer.term() > leader->term()) leader = &answer;
  }
  return leader;
}

chaos::v1::ClusterMember ToMember(const v1::MemberState& state, const Answers& answers,
                                  const v1::DescribeResponse* leader) {
  chaos::v1::ClusterMember member;
  member.set_node_id(state.node_id());
  member.set_address(state.address());
  member.set_voter(state.voter());
  const auto own = answers.find(state.node_id());
  if (own != answers.end()) {
    member.set_reachable(true);
    member.set_role(static_cast<chaos::v1::MemberRole>(own->second.role()));
    member.set_term(own->second.term());
    member.set_version(own->second.version());
    member.set_applied_index(own->second.applied_index());
  }
  if (leader == nullptr) return member;
  member.set_match_index(state.match_index());
  member.set_lag_entries(leader->last_index() -
                         std::min(leader->last_index(), state.match_index()));
  if (state.last_contact_ns() != UINT64_MAX) {
    *member.mutable_last_contact() = ToDuration(state.last_contact_ns());
  }
  member.set_round_trip_us(state.round_trip_us());
  return member;
}

chaos::v1::GetClusterResponse Combine(const v1::DescribeResponse& self, const Answers& answers) {
  chaos::v1::GetClusterResponse response;
  const v1::DescribeResponse* leader = LeaderOf(answers);
  const v1::DescribeResponse& best = leader == nullptr ? self : *leader;
  response.set_cluster_id(best.cluster_id().empty() ? self.cluster_id() : best.cluster_id());
  response.set_term(best.term());
  response.set_node_id(self.node_id());
  response.set_last_index(best.last_index());
  response.set_configuration_index(best.configuration_index());
  response.set_change_pending(best.change_pending());
  *response.mutable_heartbeat() = ToDuration(best.heartbeat_ns());
  *response.mutable_election_timeout() = ToDuration(best.election_timeout_ns());
  response.set_removed(self.removed());
  if (leader != nullptr) {
    response.set_leader_id(leader->node_id());
    response.set_has_quorum(leader->quorum_age_ns() / kQuorumTimeouts <
                            std::max(leader->election_timeout_ns(), kNanosPerSecond));
  }
  for (const v1::MemberState& state : best.members()) {
    *response.add_members() = ToMember(state, answers, leader);
  }
  return response;
}

}  // namespace

class Cluster::Survey : public std::enable_shared_from_this<Survey> {
 public:
  Survey(Cluster* owner, Done<chaos::v1::GetClusterResponse> done)
      : owner_(owner), done_(std::move(done)) {}

  void Start(v1::DescribeResponse self, uint64_t deadline_ns) {
    self_ = std::move(self);
    answers_[self_.node_id()] = self_;
    std::vector<v1::MemberState> others;
    for (const v1::MemberState& member : self_.members()) {
      if (member.node_id() != self_.node_id()) others.push_back(member);
    }
    waiting_ = others.size();
    if (others.empty()) return Finish();
    v1::DescribeRequest request;
    request.set_node_id(self_.node_id());
    for (const v1::MemberState& member : others) {
      owner_->peers_->Describe(
          member.address(), request, deadline_ns,
          [survey = shared_from_this(), id = member.node_id()](
              const StatusOr<v1::DescribeResponse>& answer) { survey->Take(id, answer); });
    }
  }

 private:
  void Take(uint64_t id, const StatusOr<v1::DescribeResponse>& answer) {
    {
      const std::lock_guard lock(mutex_);
      // Another node at the member's address, or another cluster's, is not the member.
      if (answer.ok() && answer->node_id() == id &&
          (answer->cluster_id().empty() || self_.cluster_id().empty() ||
           answer->cluster_id() == self_.cluster_id())) {
        answers_[id] = *answer;
        owner_->gate_->Learn(
            {.node_id = id, .cluster_id = answer->cluster_id(), .store_id = answer->store_id()});
      }
      if (--waiting_ > 0) return;
    }
    Finish();
  }

  void Finish() {
    chaos::v1::GetClusterResponse response = Combine(self_, answers_);
    if (owner_->refusals_) {
      for (const auto& [reason, count] : owner_->refusals_()) {
        (*response.mutable_refused_peers())[reason] = count;
      }
    }
    if (self_.refused_strangers() > 0) {
      (*response.mutable_refused_peers())["NOT_A_MEMBER"] = self_.refused_strangers();
    }
    done_(std::move(response));
  }

  Cluster* const owner_;
  const Done<chaos::v1::GetClusterResponse> done_;
  v1::DescribeResponse self_;
  std::mutex mutex_;
  size_t waiting_ = 0;
  Answers answers_;
};

void Cluster::SetGate(PeerGate* gate) {
  gate_ = gate;
  MeetOthers();
}

void Cluster::MeetOthers() {
  timers_->PostAfter(kMeetEvery, [this] {
    if (!gate_->KnowsAll()) Get({{}, MonotonicNowNs() + kWaitNs}, [](const auto&) {});
    MeetOthers();
  });
}

void Cluster::Get(const CallContext& context, Done<chaos::v1::GetClusterResponse> done) {
  const uint64_t deadline_ns = std::min(context.deadline_ns, MonotonicNowNs() + kWaitNs);
  Describe([this, deadline_ns, done = std::move(done)](StatusOr<v1::DescribeResponse> self) {
    if (!self.ok()) return done(self.status());
    std::make_shared<Survey>(this, done)->Start(*std::move(self), deadline_ns);
  });
}

}  // namespace faultline::server
