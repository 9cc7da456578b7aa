#include "server/cluster.h"

#include <future>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kPause{50};

Status Ending(uint64_t node_id) {
  return MakeDetailedError(StatusCode::kUnavailable, "NODE_ENDING",
                           fmt::format("node {} has stopped or is ending", node_id));
}

v1::Role RoleOf(raft::Role role) {
  switch (role) {
    case raft::Role::kLeader:
      return v1::ROLE_LEADER;
    case raft::Role::kFollower:
      return v1::ROLE_FOLLOWER;
    case raft::Role::kCandidate:
      return v1::ROLE_CANDIDATE;
    default:
      return v1::ROLE_FAILED;
  }
}

uint64_t Nanos(std::chrono::nanoseconds duration) {
  return duration == std::chrono::nanoseconds::max() ? UINT64_MAX
                                                     : static_cast<uint64_t>(duration.count());
}

v1::DescribeResponse Describe(const raft::View& view, const raft::GroupState& group) {
  v1::DescribeResponse response;
  response.set_version(FAULTLINE_VERSION);
  response.set_role(RoleOf(view.role));
  response.set_term(view.term);
  response.set_leader_id(view.leader_id);
  response.set_applied_index(view.applied_index);
  response.set_last_index(group.last_index);
  for (const raft::MemberState& state : group.members) {
    auto* member = response.add_members();
    member->set_node_id(state.member.id);
    member->set_address(state.member.address);
    member->set_voter(!state.member.learner);
    member->set_match_index(state.match_index);
    member->set_last_contact_ns(Nanos(state.last_contact));
    member->set_round_trip_us(state.round_trip_us);
  }
  response.set_configuration_index(group.configuration_index);
  response.set_change_pending(group.change_pending);
  response.set_heartbeat_ns(Nanos(group.heartbeat));
  response.set_election_timeout_ns(Nanos(group.election_timeout));
  response.set_removed(group.not_member_by != 0);
  response.set_refused_strangers(group.refused_strangers);
  return response;
}

raft::MemberChange ToChange(const v1::ChangeRequest& request) {
  using Kind = raft::MemberChange::Kind;
  Kind kind = Kind::kAdd;
  if (request.kind() == v1::ChangeRequest::KIND_PROMOTE) kind = Kind::kPromote;
  if (request.kind() == v1::ChangeRequest::KIND_REMOVE) kind = Kind::kRemove;
  if (request.kind() == v1::ChangeRequest::KIND_SET_ADDRESS) kind = Kind::kSetAddress;
  return {kind, request.node_id(), request.address()};
}

std::string ReasonOf(const Status& status) {
  const auto detail = DetailOf(status);
  return detail ? detail->reason() : "";
}

}  // namespace

void Cluster::Attach(raft::Node* node) {
  const std::lock_guard lock(node_mutex_);
  node_ = node;
}

void Cluster::Detach() { Attach(nullptr); }

void Cluster::SetRefusals(std::function<std::map<std::string, uint64_t>()> refusals) {
  refusals_ = std::move(refusals);
}

void Cluster::Describe(Done<v1::DescribeResponse> done) {
  const std::shared_lock lock(node_mutex_);
  if (node_ == nullptr) return done(Ending(node_id_));
  const uint64_t quorum_age_ns = Nanos(node_->QuorumAge());
  node_->Inspect([this, quorum_age_ns, done = std::move(done)](const raft::View& view,
                                                               const raft::GroupState& group) {
    v1::DescribeResponse response = server::Describe(view, group);
    response.set_node_id(node_id_);
    response.set_cluster_id(plane_->version().cluster_id());
    response.set_quorum_age_ns(quorum_age_ns);
    done(std::move(response));
  });
}

void Cluster::ChangeHere(const v1::ChangeRequest& request, std::function<void(Status)> done) {
  const std::shared_lock lock(node_mutex_);
  if (node_ == nullptr) return done(Ending(node_id_));
  FL_LOG(info, "membership: {} of node {} {}by {}", v1::ChangeRequest::Kind_Name(request.kind()),
         request.node_id(), request.address().empty() ? "" : "at " + request.address() + " ",
         request.caller());
  const auto log = [request, done = std::move(done)](const Status& status) {
    if (!status.ok()) FL_LOG(warn, "membership: refused: {}", ToString(status.message()));
    done(status);
  };
  if (request.kind() == v1::ChangeRequest::KIND_TRANSFER) {
    return node_->Transfer(request.node_id(), log);
  }
  node_->Change(ToChange(request), log);
}

void Cluster::HandOver(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  auto handed_over = std::make_shared<std::promise<Status>>();
  std::future<Status> status = handed_over->get_future();
  {
    const std::shared_lock lock(node_mutex_);
    if (node_ == nullptr || node_->GetView().role != raft::Role::kLeader) return;
    node_->Transfer(0, [handed_over](const Status& result) { handed_over->set_value(result); });
  }
  if (status.wait_until(deadline) != std::future_status::ready || !status.get().ok()) return;
  // What waited for the transfer goes to the new leader from here.
  while (std::chrono::steady_clock::now() < deadline) {
    const raft::View view = plane_->view();
    if (view.leader_id != 0 && view.leader_id != node_id_) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::this_thread::sleep_for(kPause);
}

// One change's search for the leader.
class Cluster::Search : public std::enable_shared_from_this<Search> {
 public:
  Search(Cluster* owner, const CallContext& context, v1::ChangeRequest request,
         std::function<void(Status)> done)
      : owner_(owner),
        deadline_ns_(context.deadline_ns),
        request_(std::move(request)),
        done_(std::move(done)) {}

  void Attempt() {
    if (MonotonicNowNs() >= deadline_ns_) return Finish();
    const raft::View view = owner_->plane_->view();
    const auto take = [self = shared_from_this()](const Status& status) { self->Take(status); };
    const v1::ChangeRequest request = hand_over_ ? HandOverRequest() : request_;
    if (view.role == raft::Role::kLeader) return owner_->ChangeHere(request, take);
    if (view.leader_id == 0 || view.leader_address.empty()) return Retry();
    owner_->peers_->Change(view.leader_address, request, deadline_ns_, take);
  }

 private:
  v1::ChangeRequest HandOverRequest() const {
    v1::ChangeRequest request;
    request.set_kind(v1::ChangeRequest::KIND_TRANSFER);
    request.set_caller(request_.caller());
    return request;
  }

  void Take(const Status& status) {
    if (std::exchange(hand_over_, false)) {
      if (!status.ok() && status.code() != StatusCode::kUnavailable) return done_(status);
      return Retry();
    }
    if (status.ok()) return done_(status);
    const std::string reason = ReasonOf(status);
    if (reason == "IS_LEADER") {
      hand_over_ = true;
      return Attempt();
    }
    // An attempt before this one was committed although its leader was lost.
    const bool was_done =
        reason == "MEMBER_EXISTS" || reason == "MEMBER_IS_VOTER" || reason == "MEMBER_NOT_FOUND";
    if (unknown_ && was_done) return done_(absl::OkStatus());
    if (status.code() == StatusCode::kAborted ||
        (status.code() == StatusCode::kUnavailable && reason != "NOT_LEADER")) {
      unknown_ = true;
    } else if (status.code() != StatusCode::kUnavailable) {
      return done_(status);
    }
    if (request_.kind() == v1::ChangeRequest::KIND_TRANSFER && unknown_) {
      return done_(absl::OkStatus());
    }
    Retry();
  }

  void Retry() {
    owner_->timers_->PostAfter(kPause, [self = shared_from_this()] { self->Attempt(); });
  }

  void Finish() {
    if (unknown_) {
      return done_(MakeDetailedError(
          StatusCode::kDeadlineExceeded, "OUTCOME_UNKNOWN",
          "the leader was lost; whether the change was made is shown by the cluster's status"));
    }
    done_(MakeDetailedError(
        StatusCode::kUnavailable, "NO_LEADER",
        fmt::format("no leader: node {} finds no majority of the control plane; members cannot be "
                    "changed without one",
                    owner_->node_id_)));
  }

  Cluster* const owner_;
  const uint64_t deadline_ns_;
  const v1::ChangeRequest request_;
  const std::function<void(Status)> done_;
  bool hand_over_ = false;  // the next attempt is a transfer away from the leader to be removed
  bool unknown_ = false;    // some attempt's outcome is not known
};

void Cluster::Change(const CallContext& context, const v1::ChangeRequest& request,
                     std::function<void(Status)> done) {
  std::make_shared<Search>(this, context, request, std::move(done))->Attempt();
}

}  // namespace faultline::server
