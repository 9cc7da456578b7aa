#include "server/leader_client.h"

#include <algorithm>
#include <atomic>

#include "base/clock.h"
#include "server/leader_tries.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kPause{20};
// One try: a leader that does not answer for so long may be none any more.
constexpr uint64_t kAttemptNs = 2 * kNanosPerSecond;
constexpr std::chrono::seconds kPollEvery{1};
// Questions under way to one node: with fewer, a read would wait for another's whole round trip.
constexpr int kQuestions = 4;

bool MayBeElsewhere(const Status& status) {
  return status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kAborted ||
         status.code() == StatusCode::kDeadlineExceeded || status.code() == StatusCode::kCancelled;
}

// `revision`: what this node would have to have applied.
Status Behind(uint64_t revision) {
  return MakeDetailedError(StatusCode::kUnavailable, "NODE_BEHIND",
                           "this node lags behind the leader; ask another one",
                           {{"revision", std::to_string(revision)}});
}

// The caller's deadline, less what the answer needs for its way back.
uint64_t LatestAnswerNs(uint64_t deadline_ns) {
  const uint64_t now_ns = MonotonicNowNs();
  return deadline_ns > now_ns ? now_ns + (deadline_ns - now_ns) / 10 * 9 : now_ns;
}

}  // namespace

// One call's search: tries the leader of the moment, again and again, until it answers or time is
// up.
template <typename Response>
class LeaderClient::Search : public std::enable_shared_from_this<Search<Response>> {
 public:
  using Local = std::function<void(Done<Response>)>;
  using Remote = std::function<void(uint64_t node_id, uint64_t deadline_ns, Done<Response>)>;

  Search(LeaderClient* owner, uint64_t deadline_ns, Effect effect, Local local, Remote remote,
         Done<Response> done)
      : node_id_(owner->node_id_),
        plane_(owner->plane_),
        timers_(owner->timers_),
        deadlines_(&owner->deadlines_),
        deadline_ns_(LatestAnswerNs(deadline_ns)),
        local_(std::move(local)),
        remote_(std::move(remote)),
        done_(std::move(done)),
        tries_(node_id_, effect) {}

  void Start() {
    late_ = deadlines_->Add(deadline_ns_, [weak = this->weak_from_this()] {
      const auto self = weak.lock();
      if (self && self->Claim()) self->done_(self->TimeIsUp());
    });
    Attempt();
  }

 private:
  void Attempt() {
    if (finished_) return;
    const raft::View view = plane_->view();
    if (view.role == raft::Role::kUnavailable)
      return Finish(tries_.WithOutcome(NodeEnding(node_id_)));
    // The timer would find nobody when this was the last to hold the search.
    if (MonotonicNowNs() >= deadline_ns_) return Finish(TimeIsUp());
    const bool leads = view.role == raft::Role::kLeader;
    const uint64_t asked = leads ? node_id_ : view.leader_id;
    if (asked == 0) {
      tries_.FoundNone(view);
      return Retry();
    }
    tries_.Asks();
    auto answer = [self = this->shared_from_this(), asked](StatusOr<Response> response) {
      self->Take(asked, std::move(response));
    };
    if (leads) return local_(std::move(answer));
    remote_(asked, std::min(deadline_ns_, MonotonicNowNs() + kAttemptNs), std::move(answer));
  }

  void Take(uint64_t asked, StatusOr<Response> response) {
    if (response.ok()) return Finish(std::move(response));
    if (!MayBeElsewhere(response.status())) return Finish(tries_.Refused(response.status()));
    tries_.Failed(asked, response.status());
    Retry();
  }

  Status TimeIsUp() const { return tries_.WithOutcome(tries_.Last()); }

  void Retry() {
    timers_->PostAfter(kPause, [self = this->shared_from_this()] { self->Attempt(); });
  }

  // True for the one who is to answer.
  bool Claim() { return !finished_.exchange(true); }

  void Finish(StatusOr<Response> response) {
    if (!Claim()) return;
    deadlines_->Remove(late_);
    done_(std::move(response));
  }

  const uint64_t node_id_;
  ControlPlane* const plane_;
  Strand* const timers_;
  Deadlines* const deadlines_;
  const uint64_t deadline_ns_;
  Deadlines::Handle late_;
  const Local local_;
  const Remote remote_;
  const Done<Response> done_;
  std::atomic<bool> finished_{false};
  LeaderTries tries_;
};

void LeaderClient::Start() {
  timers_->Post([this] { Tick(); });
}

void LeaderClient::Tick() {
  timers_->PostAfter(kPollEvery, [this] { Tick(); });
  const auto interval_ns = static_cast<uint64_t>(std::chrono::nanoseconds(kPollEvery).count());
  FindPoint({{}, MonotonicNowNs() + interval_ns}, /*agents=*/false, [](const auto&) {});
}

std::optional<std::chrono::nanoseconds> LeaderClient::Age(uint64_t revision) {
  const uint64_t current_ns = freshness_.CurrentAsOfNs(revision);
  if (current_ns == 0) return std::nullopt;
  return std::chrono::nanoseconds(BoottimeNowNs() - current_ns);
}

void LeaderClient::Propose(const CallContext& context, control::v1::Command command,
                           Done<control::v1::Result> done) {
  using Result = control::v1::Result;
  if (MonotonicNowNs() >= context.deadline_ns) return done(TooLate());
  const Effect effect =
      command.create_experiment().request_id().empty() ? Effect::kChange : Effect::kChangeOnce;
  auto request = std::make_shared<v1::ForwardRequest>();
  request->mutable_caller()->set_name(context.caller.name);
  request->mutable_caller()->set_authenticated(context.caller.authenticated);
  request->mutable_command()->Swap(&command);
  auto local = [plane = plane_, request, deadline_ns = context.deadline_ns](Done<Result> answer) {
    plane->Propose(CommandPtr(request, &request->command()), deadline_ns,
                   [answer = std::move(answer)](StatusOr<ControlPlane::Proposed> proposed) {
                     if (!proposed.ok()) return answer(proposed.status());
                     answer(std::move(proposed->result));
                   });
  };
  auto remote = [peers = peers_, request](uint64_t node_id, uint64_t deadline_ns,
                                          Done<Result> answer) {
    peers->Forward(node_id, *request, deadline_ns,
                   [answer = std::move(answer)](StatusOr<v1::ForwardResponse> response) {
                     if (!response.ok()) return answer(response.status());
                     answer(std::move(*response->mutable_result()));
                   });
  };
  auto finish = [done = std::move(done)](StatusOr<Result> result) {
    if (result.ok() && result->has_error()) return done(control::FromError(result->error()));
    done(std::move(result));
  };
  std::make_shared<Search<Result>>(this, context.deadline_ns, effect, std::move(local),
                                   std::move(remote), std::move(finish))
      ->Start();
}

void LeaderClient::CatchUp(const CallContext& context, std::function<void(Status)> done) {
  FindPoint(context, /*agents=*/false, [this, context, done = std::move(done)](const auto& point) {
    if (!point.ok()) return done(point.status());
    const uint64_t revision = point->revision();
    plane_->WaitForRevision(
        revision, LatestAnswerNs(context.deadline_ns),
        [done, revision](const Status& status) { done(status.ok() ? status : Behind(revision)); });
  });
}

void LeaderClient::CatchUpWithAgents(const CallContext& context,
                                     Done<std::vector<v1::AgentSession>> done) {
  FindPoint(context, /*agents=*/true, [this, context, done = std::move(done)](const auto& point) {
    if (!point.ok()) return done(point.status());
    const std::vector<v1::AgentSession> agents(point->agents().begin(), point->agents().end());
    const uint64_t revision = point->revision();
    plane_->WaitForRevision(revision, LatestAnswerNs(context.deadline_ns),
                            [done, agents, revision](const Status& status) {
                              if (!status.ok()) return done(Behind(revision));
                              done(agents);
                            });
  });
}

v1::ReadIndexRequest LeaderClient::Question(bool agents) const {
  v1::ReadIndexRequest request;
  request.set_agents(agents);
  request.set_node_id(node_id_);
  request.set_version(plane_->supported_version());
  return request;
}

void LeaderClient::FindPoint(const CallContext& context, bool agents, Done<Point> done) {
  const auto local = [this, agents](Done<Point> answer) { AskLocal(agents, std::move(answer)); };
  const auto remote = [this, agents](uint64_t node_id, uint64_t deadline_ns, Done<Point> answer) {
    if (!agents) return AskShared(node_id, deadline_ns, std::move(answer));
    peers_->ReadIndex(node_id, Question(agents), deadline_ns, std::move(answer));
  };
  std::make_shared<Search<Point>>(this, context.deadline_ns, Effect::kNone, local, remote,
                                  std::move(done))
      ->Start();
}

void LeaderClient::AskLocal(bool agents, Done<Point> done) {
  const uint64_t asked_ns = BoottimeNowNs();
  plane_->ReadIndex([this, agents, asked_ns, done = std::move(done)](const auto& revision) {
    if (!revision.ok()) return done(revision.status());
    freshness_.Learn(asked_ns, *revision);
    Point point;
    point.set_revision(*revision);
    if (!agents) return done(std::move(point));
    scheduler_->Served([point, done](std::vector<v1::AgentSession> served) {
      Point with_agents = point;
      for (auto& agent : served) *with_agents.add_agents() = std::move(agent);
      done(std::move(with_agents));
    });
  });
}

void LeaderClient::AskShared(uint64_t node_id, uint64_t deadline_ns, Done<Point> done) {
  {
    const std::lock_guard lock(mutex_);
    Line& line = lines_[node_id];
    line.waiting.push_back({deadline_ns, std::move(done)});
    if (line.asked >= kQuestions) return;
    ++line.asked;
  }
  AskNext(node_id);
}

void LeaderClient::AskNext(uint64_t node_id) {
  auto all = std::make_shared<std::vector<Line::Waiting>>();
  {
    const std::lock_guard lock(mutex_);
    Line& line = lines_[node_id];
    all->swap(line.waiting);
    if (all->empty()) {
      --line.asked;
      return;
    }
  }
  uint64_t deadline_ns = 0;
  for (const auto& waiting : *all) deadline_ns = std::max(deadline_ns, waiting.deadline_ns);
  const uint64_t asked_ns = BoottimeNowNs();
  peers_->ReadIndex(node_id, Question(/*agents=*/false), deadline_ns,
                    [this, node_id, asked_ns, all](const StatusOr<Point>& point) {
                      if (point.ok()) freshness_.Learn(asked_ns, point->revision());
                      for (const auto& waiting : *all) waiting.done(point);
                      AskNext(node_id);
                    });
}

}  // namespace faultline::server
