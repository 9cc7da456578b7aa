#include "server/cluster.h"

#include <future>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "server/leader_tries.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kPause{50};
// Changes whose tries are counted.
constexpr size_t kMostCounted = 64;

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

}  // namespace

void Cluster::Attach(raft::Node* node) {
  {
    const std::lock_guard lock(node_mutex_);
    node_ = node;
  }
  if (gate_ == nullptr) return;
  const auto observed = std::make_shared<std::promise<void>>();
  node->Inspect([observed](const auto&, const auto&) { observed->set_value(); });
  observed->get_future().wait();
  gate_->Save();
}

void Cluster::Detach() {
  const std::lock_guard lock(node_mutex_);
  node_ = nullptr;
}

void Cluster::SetRefusals(std::function<std::map<std::string, uint64_t>()> refusals) {
  refusals_ = std::move(refusals);
}

void Cluster::Describe(Done<v1::DescribeResponse> done) {
  const std::shared_lock lock(node_mutex_);
  if (node_ == nullptr) return done(NodeEnding(node_id_));
  const uint64_t quorum_age_ns = Nanos(node_->QuorumAge());
  node_->Inspect([this, quorum_age_ns, done = std::move(done)](const raft::View& view,
                                                               const raft::GroupState& group) {
    v1::DescribeResponse response = server::Describe(view, group);
    response.set_node_id(node_id_);
    response.set_cluster_id(plane_->version().cluster_id());
    response.set_quorum_age_ns(quorum_age_ns);
    response.set_store_id(gate_->Hello().store_id);
    done(std::move(response));
  });
}

void Cluster::ChangeHere(const v1::ChangeRequest& request, std::function<void(Status)> done) {
  const std::shared_lock lock(node_mutex_);
  if (node_ == nullptr) return done(NodeEnding(node_id_));
  if (Status status = plane_->CheckCluster(request.cluster_id()); !status.ok()) {
    return done(std::move(status));
  }
  const std::string what = fmt::format(
      "{} of node {} {}by {}", v1::ChangeRequest::Kind_Name(request.kind()), request.node_id(),
      request.address().empty() ? "" : "at " + request.address() + " ", request.caller());
  const uint64_t tries = CountTry(what);
  if (IsWorthALine(tries)) {
    FL_LOG(info, "membership: {}{}", what, tries == 1 ? "" : fmt::format(", try {}", tries));
  }
  const auto log = [this, what, tries, done = std::move(done)](const Status& status) {
    const std::string reason = ReasonOf(status);
    // Who asked tries again.
    const bool waits = reason == "NOT_CAUGHT_UP" || reason == "CHANGE_PENDING";
    if (!waits) ForgetTries(what);
    if (status.ok() && tries > 1) FL_LOG(info, "membership: {} was made at try {}", what, tries);
    if (!status.ok() && (!waits || IsWorthALine(tries))) {
      FL_LOG(warn, "membership: refused: {}", ToString(status.message()));
    }
    done(status);
  };
  if (request.kind() == v1::ChangeRequest::KIND_TRANSFER) {
    return node_->Transfer(request.node_id(), log);
  }
  node_->Change(ToChange(request), log);
}

uint64_t Cluster::CountTry(const std::string& what) {
  const std::lock_guard lock(tries_mutex_);
  if (tries_.size() >= kMostCounted && !tries_.contains(what)) tries_.clear();
  return ++tries_[what];
}

void Cluster::ForgetTries(const std::string& what) {
  const std::lock_guard lock(tries_mutex_);
  tries_.erase(what);
}

void Cluster::HandOver(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto handed_over = std::make_shared<std::promise<Status>>();
    std::future<Status> end = handed_over->get_future();
    {
      const std::shared_lock lock(node_mutex_);
      if (node_ == nullptr || node_->GetView().role != raft::Role::kLeader) return;
      node_->Transfer(0, [handed_over](const Status& result) { handed_over->set_value(result); });
    }
    if (end.wait_until(deadline) != std::future_status::ready) return;
    const Status status = end.get();
    if (status.ok()) break;
    // A change that is under way may be over in time.
    const bool pending = ReasonOf(status) == "CHANGE_PENDING";
    if (!pending || std::chrono::steady_clock::now() >= deadline) return;
    std::this_thread::sleep_for(kPause);
  }
  // What waited for the transfer goes to the new leader from here.
  while (std::chrono::steady_clock::now() < deadline) {
    const raft::View view = plane_->view();
    if (view.leader_id != 0 && view.leader_id != node_id_) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::this_thread::sleep_for(kPause);
}

}  // namespace faultline::server
