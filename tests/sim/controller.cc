#include "sim/controller.h"

#include <utility>

namespace faultline::sim {
namespace {

// What of a result must be the same on every node; its bytes need not be.
std::string Essence(const std::string& bytes) {
  if (bytes.empty()) return {};
  control::v1::Result result;
  result.ParseFromString(bytes);
  std::string essence = fmt::format("{}", result.error().code());
  for (const auto& experiment : result.experiments()) {
    essence += fmt::format(" {}@{}:{}", experiment.experiment_id(), experiment.revision(),
                           experiment.phase());
  }
  return essence;
}

}  // namespace

// Stands between Raft and the state machine, for the referee.
class Controller::Machine final : public raft::StateMachine {
 public:
  Machine(server::ControlPlane* plane, Referee* referee, uint64_t node)
      : plane_(plane), referee_(referee), node_(node) {}

  // Every node's result is compared, so it is always wanted.
  std::string Apply(uint64_t index, uint64_t term, std::string_view command, bool) override {
    std::string result = plane_->Apply(index, term, command, /*wanted=*/true);
    referee_->OnApply(node_, index, term, command, Essence(result));
    index_ = index;
    return result;
  }
  void Advance(uint64_t index, uint64_t term) override {
    plane_->Advance(index, term);
    referee_->OnApply(node_, index, term, "", "");
    index_ = index;
  }
  std::shared_ptr<const raft::StateImage> Capture() override {
    referee_->OnCapture(node_, index_);
    return plane_->Capture();
  }
  StatusOr<std::shared_ptr<raft::LoadedState>> Load(ByteSource& source) const override {
    return plane_->Load(source);
  }
  void Restore(uint64_t index, uint64_t term, std::shared_ptr<raft::LoadedState> state) override {
    referee_->OnRestore(node_, index);
    index_ = index;
    plane_->Restore(index, term, std::move(state));
  }
  Status health() const override { return plane_->health(); }

 private:
  server::ControlPlane* const plane_;
  Referee* const referee_;
  const uint64_t node_;
  uint64_t index_ = 0;
};

Controller::Controller(ControllerOptions options, World* world, Network* network,
                       Directory* directory, Referee* referee)
    : options_(std::move(options)),
      referee_(referee),
      host_(world->here()),
      timers_("timers", 1 << 20),
      strand_("sessions", 1 << 20),
      plane_(&timers_),
      machine_(std::make_unique<Machine>(&plane_, referee, options_.node_id)),
      transport_(MakeTransport({options_.node_id, host_, world, network, directory})),
      peers_(MakePeers({options_.node_id, host_, world, network, directory})),
      cluster_peers_(MakeClusterPeers({options_.node_id, host_, world, network, directory})),
      cluster_(options_.node_id, &plane_, cluster_peers_.get(), &timers_) {
  scheduler_.emplace(&strand_, &plane_, options_.lease);
  versions_.emplace(options_.node_id, &strand_, &plane_);
  versions_->SetMembers({options_.node_id});
  OnMembers(options_.members);
  leader_.emplace(options_.node_id, &plane_, peers_.get(), &*scheduler_, &timers_);
  sessions_.emplace(server::AgentSessions::Options{options_.node_id, options_.lease}, &strand_,
                    &plane_, &*leader_, peers_.get(), &*scheduler_);
  experiments_.emplace(&plane_, &*leader_, options_.lease);
  reads_.emplace(options_.node_id, &plane_, &*leader_, &*sessions_);
  plane_.Observe([this](const server::Change& change) { sessions_->OnChange(change); });
  plane_.Observe([this](const server::Change& change) { ObserveExperiments(change); });
}

Controller::~Controller() {
  cluster_.Detach();
  plane_.Detach();
  node_.reset();
  strand_.Stop();
  timers_.Stop();
}

void Controller::ObserveExperiments(const server::Change& change) {
  for (const auto& experiment : change.experiments) {
    if (control::IsFinished(*experiment)) referee_->OnFinished(*experiment);
  }
}

void Controller::OnMembers(const std::vector<raft::Member>& members) {
  if (members.empty()) return;  // of a node that waits to be told
  members_ = members;
  peers_->SetMembers(members);
  std::vector<uint64_t> ids;
  for (const auto& member : members) ids.push_back(member.id);
  versions_->SetMembers(std::move(ids));
}

Status Controller::Start() {
  raft::Options options;
  options.id = options_.node_id;
  options.members = options_.members;
  options.join = options_.join;
  options.data_dir = options_.data_dir;
  options.election_timeout = std::chrono::milliseconds(150);
  options.heartbeat = std::chrono::milliseconds(30);
  options.seed = options_.seed;
  options.snapshot_every = options_.snapshot_every;
  options.snapshot_trailing = options_.snapshot_trailing;
  referee_->OnNodeStart(options_.node_id);
  FL_ASSIGN_OR_RETURN(node_, raft::Node::Start(options, machine_.get(), transport_.get()));
  node_->ObserveView([this](const raft::View& view) {
    if (view.role == raft::Role::kLeader) referee_->OnLeader(options_.node_id, view.term);
    if (view.role == raft::Role::kUnavailable) referee_->OnStopped(options_.node_id);
  });
  node_->ObserveMembers([this](const std::vector<raft::Member>& members) {
    referee_->OnMembers(options_.node_id, members);
    OnMembers(members);
  });
  plane_.Attach(node_.get());
  asked_.emplace(options_.node_id, node_.get(), referee_);
  cluster_.Attach(&*asked_);
  sessions_->Start();
  leader_->Start();
  versions_->Start();
  return absl::OkStatus();
}

}  // namespace faultline::sim
