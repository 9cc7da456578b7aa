#include "sim/controller.h"

#include <algorithm>

#include "base/clock.h"
#include "raft/v1/message.pb.h"

namespace faultline::sim {
namespace {

// A call that came from another node.
constexpr uint64_t kForwardNs = 2 * kSecond;

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

class Controller::Transport final : public raft::Transport {
 public:
  Transport(uint64_t own_id, World* world, Network* network, Directory* directory)
      : own_id_(own_id),
        world_(world),
        host_(world->here()),
        network_(network),
        directory_(directory) {}

  void Send(const raft::Member& to, std::string message) override {
    const auto place = directory_->nodes.find(to.id);
    if (place == directory_->nodes.end()) return;
    network_->Send(host_, place->second.host,
                   [directory = directory_, to = to.id, from = own_id_, message] {
                     Controller* receiver = directory->Find(to);
                     if (receiver != nullptr && receiver->node() != nullptr) {
                       receiver->node()->Receive(from, message);
                     }
                   });
  }

  Status FetchSnapshot(const raft::Member& from, const raft::Snapshot& wanted, uint64_t offset,
                       const ByteSink& sink) override {
    Controller* source = directory_->Find(from.id);
    const Status lost = MakeError(StatusCode::kUnavailable, "the connection is lost");
    world_->Spend(world_->Between(kMs, 20 * kMs));
    if (source == nullptr || source->node() == nullptr) return lost;
    StatusOr<std::unique_ptr<ByteSource>> bytes = lost;
    world_->On(source->host(), [&] { bytes = source->node()->ReadSnapshot(wanted, offset); });
    if (!bytes.ok()) return bytes.status();
    for (;;) {
      if (network_->IsCut(source->host(), host_) || network_->IsCut(host_, source->host()) ||
          world_->Chance(0.05)) {
        return lost;
      }
      FL_ASSIGN_OR_RETURN(const std::string_view whole, (*bytes)->Next());
      if (whole.empty()) return absl::OkStatus();
      // A connection may break anywhere.
      const size_t size = world_->Chance(0.05) ? world_->Between(1, whole.size()) : whole.size();
      FL_RETURN_IF_ERROR(sink(whole.substr(0, size)));
      if (size < whole.size()) return lost;
    }
  }
  void StopFetching() override {}

 private:
  const uint64_t own_id_;
  World* const world_;
  const HostId host_;
  Network* const network_;
  Directory* const directory_;
};

// Calls to other nodes, as gRPC makes them: answered once, by the deadline at the latest.
class Controller::PeerCalls final : public server::Peers {
 public:
  PeerCalls(World* world, HostId host, Network* network, Directory* directory)
      : world_(world), host_(host), network_(network), directory_(directory) {}

  // The directory has all of them.
  void SetMembers(const std::vector<raft::Member>&) override {}

  void Forward(uint64_t node_id, const server::v1::ForwardRequest& request, uint64_t deadline_ns,
               server::Done<server::v1::ForwardResponse> done) override {
    Call<server::v1::ForwardResponse>(
        node_id, deadline_ns, std::move(done), [request](Controller& callee, auto answer) {
          callee.plane().Propose(request.command(), MonotonicNowNs() + kForwardNs,
                                 [answer](StatusOr<server::ControlPlane::Proposed> proposed) {
                                   if (!proposed.ok()) return answer(proposed.status());
                                   server::v1::ForwardResponse response;
                                   response.set_revision(proposed->revision);
                                   *response.mutable_result() = std::move(proposed->result);
                                   answer(std::move(response));
                                 });
        });
  }

  void ReadIndex(uint64_t node_id, const server::v1::ReadIndexRequest& request,
                 uint64_t deadline_ns, server::Done<server::v1::ReadIndexResponse> done) override {
    Call<server::v1::ReadIndexResponse>(
        node_id, deadline_ns, std::move(done), [request](Controller& callee, auto answer) {
          callee.versions().Report(request.node_id(), std::max(request.version(), 1u));
          callee.plane().ReadIndex([answer](const StatusOr<uint64_t>& revision) {
            if (!revision.ok()) return answer(revision.status());
            server::v1::ReadIndexResponse response;
            response.set_revision(*revision);
            answer(std::move(response));
          });
        });
  }

  void ReportSessions(uint64_t node_id, const server::v1::ReportSessionsRequest& request,
                      uint64_t deadline_ns,
                      server::Done<server::v1::ReportSessionsResponse> done) override {
    Call<server::v1::ReportSessionsResponse>(node_id, deadline_ns, std::move(done),
                                             [request](Controller& callee, auto answer) {
                                               callee.scheduler().ReportSessions(request, answer);
                                             });
  }

  std::unique_ptr<Relay> RelayMetrics(uint64_t, uint64_t, const server::AgentSet&,
                                      std::function<void(const chaos::v1::MetricsBatch&)>,
                                      std::function<void()>) override {
    return nullptr;
  }
  void Shutdown() override {}

 private:
  template <typename Response, typename Serve>
  void Call(uint64_t node_id, uint64_t deadline_ns, server::Done<Response> done, Serve serve) {
    auto once = [done = std::make_shared<server::Done<Response>>(std::move(done))](
                    StatusOr<Response> response) {
      if (const auto first = std::exchange(*done, nullptr)) first(std::move(response));
    };
    const uint64_t clock_ns = MonotonicNowNs();
    const uint64_t left_ns = deadline_ns > clock_ns ? deadline_ns - clock_ns : 0;
    world_->At(host_, world_->now_ns() + left_ns,
               [once] { once(MakeError(StatusCode::kDeadlineExceeded, "no answer in time")); });
    const auto place = directory_->nodes.find(node_id);
    if (place == directory_->nodes.end() || !world_->IsUp(place->second.host)) {
      world_->At(host_, world_->now_ns() + kMs,
                 [once] { once(MakeError(StatusCode::kUnavailable, "connection refused")); });
      return;
    }
    const HostId there = place->second.host;
    auto reply = [network = network_, caller = host_, there, world = world_, once,
                  life = world_->LifeOf(host_)](StatusOr<Response> response) {
      network->SendOnce(there, caller, [world, caller, life, once, response] {
        if (world->LifeOf(caller) == life) once(response);
      });
    };
    network_->SendOnce(host_, there, [directory = directory_, node_id, serve, reply] {
      Controller* callee = directory->Find(node_id);
      if (callee != nullptr && callee->node() != nullptr) serve(*callee, reply);
    });
  }

  World* const world_;
  const HostId host_;
  Network* const network_;
  Directory* const directory_;
};

Controller::Controller(ControllerOptions options, World* world, Network* network,
                       Directory* directory, Referee* referee)
    : options_(std::move(options)),
      world_(world),
      referee_(referee),
      host_(world->here()),
      timers_("timers", 1 << 20),
      strand_("sessions", 1 << 20),
      plane_(&timers_),
      machine_(std::make_unique<Machine>(&plane_, referee, options_.node_id)),
      transport_(std::make_unique<Transport>(options_.node_id, world, network, directory)),
      peers_(std::make_unique<PeerCalls>(world, host_, network, directory)) {
  scheduler_.emplace(&strand_, &plane_, options_.lease);
  versions_.emplace(options_.node_id, &strand_, &plane_);
  std::vector<uint64_t> ids;
  for (const auto& member : options_.members) ids.push_back(member.id);
  versions_->SetMembers(std::move(ids));
  leader_.emplace(options_.node_id, &plane_, peers_.get(), &*scheduler_, &timers_);
  sessions_.emplace(server::AgentSessions::Options{options_.node_id, options_.lease}, &strand_,
                    &plane_, &*leader_, peers_.get(), &*scheduler_);
  experiments_.emplace(&plane_, &*leader_, options_.lease);
  reads_.emplace(options_.node_id, &plane_, &*leader_, &*sessions_);
  plane_.Observe([this](const server::Change& change) { sessions_->OnChange(change); });
  plane_.Observe([this](const server::Change& change) { ObserveExperiments(change); });
}

Controller::~Controller() {
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

Status Controller::Start() {
  raft::Options options;
  options.id = options_.node_id;
  options.members = options_.members;
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
    if (view.role == raft::Role::kUnavailable) world_->Note("takes no part any more");
  });
  plane_.Attach(node_.get());
  sessions_->Start();
  leader_->Start();
  versions_->Start();
  return absl::OkStatus();
}

}  // namespace faultline::sim
