// Cluster::Change: one change's search for the leader, try by try.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "server/cluster.h"
#include "server/leader_tries.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kPause{50};
// Before the next try of a promotion that has to wait. Meanwhile others may change members, or hand
// over.
constexpr std::chrono::milliseconds kPromotionPause{2'000};
// For a leader to be known after one was to hand over. A client's call may be made again meanwhile.
constexpr uint64_t kSuccessorNs = 5 * kNanosPerSecond;

// Of the member that is there, in MEMBER_EXISTS; nothing when it is not told.
std::optional<std::string> AddressIn(const Status& refusal) {
  const auto detail = DetailOf(refusal);
  if (!detail || !detail->metadata().contains("address")) return std::nullopt;
  return detail->metadata().at("address");
}

}  // namespace

class Cluster::Search : public std::enable_shared_from_this<Search> {
 public:
  Search(Cluster* owner, const CallContext& context, v1::ChangeRequest request,
         std::function<bool()> cancelled, std::function<void(Status)> done)
      : owner_(owner),
        begun_ns_(MonotonicNowNs()),
        deadline_ns_(context.deadline_ns),
        request_(std::move(request)),
        cancelled_(std::move(cancelled)),
        done_(std::move(done)),
        tries_(owner->node_id_, Effect::kNone) {}

  void Attempt() {
    if (cancelled_ && cancelled_()) {
      return done_(MakeError(StatusCode::kCancelled, "the caller has gone"));
    }
    const raft::View view = owner_->plane_->view();
    if (view.role == raft::Role::kUnavailable) return Finish(NodeEnding(owner_->node_id_));
    if (former_ != 0) return LookWhoLeads(view);
    if (MonotonicNowNs() >= deadline_ns_) return Finish(TimeIsUp());
    const bool leads = view.role == raft::Role::kLeader;
    if (!leads && (view.leader_id == 0 || view.leader_address.empty())) {
      tries_.FoundNone(view);
      waits_for_ = absl::OkStatus();
      return Retry(kPause);
    }
    const auto take = [self = shared_from_this(),
                       asked = leads ? owner_->node_id_ : view.leader_id](const Status& status) {
      self->Take(asked, status);
    };
    v1::ChangeRequest request = hand_over_ ? HandOverRequest() : request_;
    request.set_cluster_id(owner_->plane_->version().cluster_id());
    if (leads) return owner_->ChangeHere(request, take);
    owner_->peers_->Change(view.leader_address, request, deadline_ns_, take);
  }

 private:
  v1::ChangeRequest HandOverRequest() const {
    v1::ChangeRequest request;
    request.set_kind(v1::ChangeRequest::KIND_TRANSFER);
    request.set_caller(request_.caller());
    return request;
  }

  void Take(uint64_t asked, const Status& status) {
    const std::string reason = ReasonOf(status);
    if (reason == "NODE_ENDING" && asked == owner_->node_id_) return Finish(status);
    if (std::exchange(hand_over_, false)) {
      if (!status.ok() && status.code() != StatusCode::kUnavailable) return done_(status);
      return Retry(kPause);
    }
    const bool transfers = request_.kind() == v1::ChangeRequest::KIND_TRANSFER;
    if (status.ok() && !transfers) return done_(status);
    if (status.ok()) return AwaitSuccessor(asked);
    if (status.code() == StatusCode::kDeadlineExceeded && reason.empty()) {
      unknown_ = true;  // the leader may make it yet
      return Finish(TimeIsUp());
    }
    waits_for_ = absl::OkStatus();
    if (request_.kind() == v1::ChangeRequest::KIND_PROMOTE &&
        (reason == "NOT_CAUGHT_UP" || reason == "CHANGE_PENDING")) {
      waits_for_ = status;
      if (reason == "NOT_CAUGHT_UP") unknown_ = false;  // it is still a learner
      return Retry(kPromotionPause);
    }
    if (reason == "IS_LEADER") {
      hand_over_ = true;
      return Attempt();
    }
    // Only who leads says so.
    if (reason == "NO_TRANSFEREE" && asked == request_.node_id()) return done_(absl::OkStatus());
    if (unknown_ && ShowsDone(status)) return done_(absl::OkStatus());
    // Which may be the attempt before.
    if (unknown_ && reason == "CHANGE_PENDING") return Retry(kPause);
    if (status.code() == StatusCode::kAborted ||
        (status.code() == StatusCode::kUnavailable && reason.empty())) {
      unknown_ = true;
    } else if (status.code() != StatusCode::kUnavailable) {
      return done_(status);
    }
    if (transfers && (unknown_ || reason == "NODE_ENDING")) return AwaitSuccessor(asked);
    tries_.Failed(asked, status);
    Retry(kPause);
  }

  // `asked` leads no longer, or its answer was lost. A transfer that was made ends so, and so does
  // any other loss of leadership.
  void AwaitSuccessor(uint64_t asked) {
    unknown_ = true;
    former_ = asked;
    successor_until_ns_ = std::min(deadline_ns_, MonotonicNowNs() + kSuccessorNs);
    Attempt();
  }

  void LookWhoLeads(const raft::View& view) {
    const uint64_t leader = view.leader_id, to = request_.node_id();
    // This node may not have heard yet that the former leader leads no longer.
    const bool is_other = leader != 0 && leader != former_;
    if (to == 0 ? is_other : leader == to) return done_(absl::OkStatus());
    if (!is_other && MonotonicNowNs() < successor_until_ns_) return Retry(kPause);
    if (is_other) {
      return done_(MakeDetailedError(
          StatusCode::kFailedPrecondition, "NOT_TRANSFERRED",
          fmt::format("node {} leads, and not node {}: node {} was lost as the leader before that "
                      "took over",
                      leader, to, former_)));
    }
    done_(MakeDetailedError(
        StatusCode::kDeadlineExceeded, "OUTCOME_UNKNOWN",
        fmt::format("node {} was to hand over, and node {} sees {} since; the cluster's status "
                    "shows who leads",
                    former_, owner_->node_id_,
                    leader == 0 ? "no leader" : "no other leader than that")));
  }

  // The refusal says that an attempt before this one was committed, although its leader was lost.
  // Of an addition it does when the member has the address that was asked for, too: another one is
  // another node. (A leader of an earlier version does not tell it.)
  bool ShowsDone(const Status& refusal) const {
    const std::string reason = ReasonOf(refusal);
    switch (request_.kind()) {
      case v1::ChangeRequest::KIND_ADD:
        return reason == "MEMBER_EXISTS" && AddressIn(refusal) == request_.address();
      case v1::ChangeRequest::KIND_PROMOTE:
        return reason == "MEMBER_IS_VOTER";
      case v1::ChangeRequest::KIND_REMOVE:
        return reason == "MEMBER_NOT_FOUND";
      default:
        return false;
    }
  }

  void Retry(std::chrono::nanoseconds pause) {
    const uint64_t now_ns = MonotonicNowNs();
    const std::chrono::nanoseconds left(deadline_ns_ > now_ns ? deadline_ns_ - now_ns : 0);
    owner_->timers_->PostAfter(std::min(pause, left),
                               [self = shared_from_this()] { self->Attempt(); });
  }

  Status TimeIsUp() const {
    if (!waits_for_.ok()) {
      return MakeDetailedError(
          waits_for_.code(), ReasonOf(waits_for_),
          fmt::format("{} (it was waited for, {} s)", ToString(waits_for_.message()),
                      (MonotonicNowNs() - begun_ns_) / kNanosPerSecond));
    }
    const Status last = tries_.Last();
    return MakeDetailedError(
        last.code(), ReasonOf(last),
        fmt::format("{}; members cannot be changed without a leader", ToString(last.message())));
  }

  void Finish(const Status& status) {
    if (!unknown_) return done_(status);
    const std::string why = waits_for_.ok() ? "the leader was lost" : ToString(status.message());
    done_(MakeDetailedError(
        StatusCode::kDeadlineExceeded, "OUTCOME_UNKNOWN",
        fmt::format("{}; whether the change was made is shown by the cluster's status", why)));
  }

  Cluster* const owner_;
  const uint64_t begun_ns_;
  const uint64_t deadline_ns_;
  const v1::ChangeRequest request_;
  const std::function<bool()> cancelled_;
  const std::function<void(Status)> done_;
  bool hand_over_ = false;  // the next attempt is a transfer away from the leader to be removed
  bool unknown_ = false;    // some attempt's outcome is not known
  uint64_t former_ = 0;     // of a transfer that has ended: the leader that was asked
  uint64_t successor_until_ns_ = 0;  // so long it is waited for another one
  Status waits_for_;                 // not OK: why the promotion was not made at the last try
  LeaderTries tries_;
};

void Cluster::Change(const CallContext& context, const v1::ChangeRequest& request,
                     std::function<void(Status)> done, std::function<bool()> cancelled) {
  std::make_shared<Search>(this, context, request, std::move(cancelled), std::move(done))
      ->Attempt();
}

}  // namespace faultline::server
