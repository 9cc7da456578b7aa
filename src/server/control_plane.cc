#include "server/control_plane.h"

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"
#include "control/admission.h"
#include "control/snapshot.h"
#include "server/state_image.h"

namespace faultline::server {
namespace {

constexpr size_t kStarts = ControlPlane::kMaxPending / 2;
constexpr size_t kStartBytes = ControlPlane::kMaxPendingBytes / 2;
constexpr Gate::Limits kStartLimits{"new experiments", "TOO_MANY_PENDING", kStarts, kStartBytes,
                                    kStarts};
constexpr Gate::Limits kCommandLimits{"commands", "TOO_MANY_PENDING", ControlPlane::kMaxPending,
                                      ControlPlane::kMaxPendingBytes, ControlPlane::kMaxPending};

// A deadline of CLOCK_MONOTONIC, which calls have, as the node takes it: CLOCK_BOOTTIME, 0 for one
// that never comes.
uint64_t ToNodeDeadline(uint64_t deadline_ns, uint64_t now_ns) {
  const uint64_t left_ns = deadline_ns - now_ns;
  const uint64_t boottime_ns = BoottimeNowNs();
  return left_ns < UINT64_MAX - boottime_ns ? boottime_ns + left_ns : 0;
}

}  // namespace

Status NodeEnding() {
  return MakeDetailedError(StatusCode::kUnavailable, "NODE_ENDING", "this node is ending");
}

ControlPlane::ControlPlane(Strand* timers, uint32_t version)
    : timers_(timers),
      supported_version_(version),
      starts_(kStartLimits),
      commands_(kCommandLimits) {}

void ControlPlane::Attach(raft::Node* node) {
  auto let_go = std::make_shared<std::promise<void>>();
  const std::lock_guard lock(node_mutex_);
  let_go_ = let_go->get_future();
  node_ = std::shared_ptr<raft::Node>(node, [let_go](raft::Node*) { let_go->set_value(); });
}

std::shared_ptr<raft::Node> ControlPlane::node() const {
  const std::lock_guard lock(node_mutex_);
  return node_;
}

void ControlPlane::Detach() {
  std::shared_ptr<raft::Node> node;
  {
    const std::lock_guard lock(node_mutex_);
    node.swap(node_);
  }
  if (node) {
    node.reset();
    let_go_.wait();
  }
  Waiters waiters;
  {
    const std::lock_guard lock(mutex_);
    detached_ = true;
    waiters = TakeAll();
  }
  for (const auto& waiter : waiters) waiter->done(NodeEnding());
}

void ControlPlane::Observe(std::function<void(const Change&)> observer) {
  observers_.push_back(std::move(observer));
}

Status ControlPlane::Refusal(const control::v1::Command& command) const {
  if (!command.has_create_experiment()) return absl::OkStatus();
  return With([&](const control::State& state, const auto&) {
    return control::Admit(state, command.create_experiment()).status();
  });
}

Status ControlPlane::CheckVersion(const control::v1::Command& command) const {
  const uint32_t needed = control::VersionOf(command);
  const uint32_t known =
      command.has_raise_version()
          ? supported_version_
          : With([](const control::State& state, const auto&) { return state.version; });
  if (needed <= known) return absl::OkStatus();
  return MakeDetailedError(
      StatusCode::kFailedPrecondition, "CLUSTER_VERSION",
      fmt::format(
          "this needs version {} on every controller; the cluster is at version {} until all "
          "members run a newer program",
          needed, known),
      {{"needed", fmt::format("{}", needed)}, {"version", fmt::format("{}", known)}});
}

void ControlPlane::Propose(CommandPtr command, uint64_t deadline_ns, Done<Proposed> done) {
  if (const Status status = CheckVersion(*command); !status.ok()) return done(status);
  if (Refusal(*command).ok()) return ProposeNow(*command, deadline_ns, std::move(done));
  // The state may lag behind what was committed: refuse only what a fresh state refuses.
  ReadIndex([this, command = std::move(command), deadline_ns,
             done = std::move(done)](const StatusOr<uint64_t>& fresh) {
    if (!fresh.ok()) return done(fresh.status());
    const Status refusal = Refusal(*command);
    if (refusal.ok()) return ProposeNow(*command, deadline_ns, done);
    Proposed refused;
    *refused.result.mutable_error() = control::ToError(refusal);
    done(std::move(refused));
  });
}

void ControlPlane::ProposeNow(const control::v1::Command& command, uint64_t deadline_ns,
                              Done<Proposed> done) {
  const uint64_t now_ns = MonotonicNowNs();
  if (now_ns >= deadline_ns) return done(TooLate());
  control::v1::Command stamp;
  stamp.set_time_unix_ms(unix_ms());
  stamp.set_version(control::VersionOf(command));
  // Messages behind one another are read as one: the later one's fields count.
  std::string bytes = command.SerializeAsString();
  stamp.AppendToString(&bytes);
  std::shared_ptr<Gate::Ticket> start;
  if (command.has_create_experiment()) {
    auto entered = starts_.Enter("", bytes.size());
    if (!entered.ok()) return done(entered.status());
    start = *std::move(entered);
  }
  const auto ticket = commands_.Enter("", bytes.size());
  if (!ticket.ok()) return done(ticket.status());
  const auto node = this->node();
  if (node == nullptr) return done(NodeEnding());
  auto answer = [done = std::move(done), start,
                 ticket = *ticket](const StatusOr<raft::Node::Committed>& committed) {
    if (!committed.ok()) return done(committed.status());
    Proposed proposed;
    proposed.revision = committed->index;
    if (!proposed.result.ParseFromString(committed->result)) {
      return done(MakeError(StatusCode::kInternal, "a result cannot be read"));
    }
    done(std::move(proposed));
  };
  node->Propose(std::move(bytes), std::move(answer), ToNodeDeadline(deadline_ns, now_ns));
}

void ControlPlane::ReadIndex(Done<uint64_t> done) {
  const auto node = this->node();
  if (node == nullptr) return done(NodeEnding());
  node->ReadBarrier([this, done = std::move(done)](const Status& status) {
    if (!status.ok()) return done(status);
    done(version().revision());
  });
}

chaos::v1::StateVersion ControlPlane::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

Status ControlPlane::CheckCluster(const std::string& asking) const {
  if (asking.empty()) return absl::OkStatus();
  const std::string own = With([](const auto& state, const auto&) { return state.cluster_id; });
  if (own.empty() || own == asking) return absl::OkStatus();
  return MakeDetailedError(StatusCode::kFailedPrecondition, "OTHER_CLUSTER",
                           fmt::format("a node of cluster {} asks one of cluster {}", asking, own));
}

raft::View ControlPlane::view() const {
  const auto node = this->node();
  return node == nullptr ? raft::View() : node->GetView();
}

std::chrono::nanoseconds ControlPlane::quorum_age() const {
  const auto node = this->node();
  return node == nullptr ? std::chrono::nanoseconds::max() : node->QuorumAge();
}

void ControlPlane::CaptureForSave(Done<SavedImage> done) {
  const auto node = this->node();
  if (node == nullptr) return done(NodeEnding());
  node->Capture([done = std::move(done)](const raft::pb::SnapshotMetadata& metadata,
                                         std::shared_ptr<const raft::StateImage> image) {
    done(SavedImage{metadata, std::move(image)});
  });
}

void ControlPlane::Stamp(uint64_t index, uint64_t term) {
  version_.set_cluster_id(state_.cluster_id);
  version_.set_term(term);
  version_.set_revision(index);
}

Status ControlPlane::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

bool ControlPlane::Knows(const control::v1::Command& command, uint64_t index) {
  const uint32_t needed = std::max(command.version(), control::VersionOf(command));
  const std::lock_guard lock(mutex_);
  if (needed > supported_version_ && health_.ok()) {
    health_ = MakeDetailedError(
        StatusCode::kFailedPrecondition, "CLUSTER_VERSION",
        fmt::format("the command at {} is of version {}, and this program knows versions up to {}: "
                    "start a newer faultline-controller on this data directory",
                    index, needed, supported_version_));
  }
  return health_.ok();
}

std::string ControlPlane::Apply(uint64_t index, uint64_t term, std::string_view bytes,
                                bool wanted) {
  control::v1::Command command;
  if (!command.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) command.Clear();
  if (!Knows(command, index)) return {};
  Change change;
  change.revision = index;
  Waiters ready;
  std::string result;
  {
    const std::lock_guard lock(mutex_);
    control::Outcome outcome = control::Apply(state_, std::move(command), index, wanted);
    Stamp(index, term);
    if (wanted) result = outcome.result.SerializeAsString();
    change.agents = std::move(outcome.agents);
    for (const uint64_t created : outcome.experiments) {
      if (!state_.experiments.contains(created)) {
        change.forgotten = true;
        continue;
      }
      if (created == index) clock_.Tell(index, BoottimeNowNs(), state_.unfinished);
      const auto record = state_.experiments.Shared(created);
      change.experiments.emplace_back(record, &record->experiment());
    }
    ready = TakeReady(outcome.experiments);
  }
  Tell(change, ready);
  return result;
}

void ControlPlane::Advance(uint64_t index, uint64_t term) {
  Change change;
  change.revision = index;
  Waiters ready;
  {
    const std::lock_guard lock(mutex_);
    Stamp(index, term);
    ready = TakeReady({});
  }
  Tell(change, ready);
}

std::shared_ptr<const raft::StateImage> ControlPlane::Capture() {
  const std::lock_guard lock(mutex_);
  return std::make_shared<const StateImage>(state_);
}

StatusOr<std::shared_ptr<raft::LoadedState>> ControlPlane::Load(ByteSource& source) const {
  const auto present =
      With([](const control::State& state, const auto&) { return state.experiments; });
  auto loaded = std::make_shared<LoadedState>();
  FL_ASSIGN_OR_RETURN(loaded->state, control::ReadState(source, &present));
  if (loaded->state.version > supported_version_) {
    return MakeDetailedError(
        StatusCode::kFailedPrecondition, "CLUSTER_VERSION",
        fmt::format("the snapshot is of a cluster at version {}, and this program knows versions "
                    "up to {}: start a newer faultline-controller on this data directory",
                    loaded->state.version, supported_version_));
  }
  return loaded;
}

void ControlPlane::Restore(uint64_t index, uint64_t term,
                           std::shared_ptr<raft::LoadedState> loaded) {
  Change change;
  change.revision = index;
  change.restored = true;
  Waiters ready;
  {
    const std::lock_guard lock(mutex_);
    std::swap(state_, static_cast<LoadedState&>(*loaded).state);
    Stamp(index, term);
    const uint64_t now_ns = BoottimeNowNs();
    for (const uint64_t told : state_.unfinished) clock_.Tell(told, now_ns, state_.unfinished);
    ready = TakeReady(Awaited());
  }
  // What was there before takes time to destroy.
  timers_->Post([old = std::move(loaded)]() mutable { old.reset(); });
  Tell(change, ready);
}

}  // namespace faultline::server
