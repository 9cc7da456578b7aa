#include "server/controller.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>

#include "base/clock.h"
#include "base/log.h"
#include "raft/grpc_transport.h"
#include "rpc/credentials.h"
#include "rpc/peer_names.h"
#include "server/cluster_service.h"
#include "server/experiment_log.h"
#include "server/grpc_port.h"
#include "server/join.h"
#include "server/malformed.h"
#include "server/node_http.h"
#include "server/peer_gate.h"
#include "server/relay.h"
#include "server/reporter.h"
#include "server/rpc_meters.h"
#include "server/services.h"
#include "server/validation.h"
#include "server/webhook_sender.h"

namespace faultline::server {
namespace {

// For a leader that ends to hand over, and for a node that joins to find its cluster.
constexpr std::chrono::milliseconds kHandOver{1'500};
constexpr std::chrono::milliseconds kJoin{30'000};

class Node final : public Controller {
 public:
  explicit Node(Config config)
      : config_(std::move(config)),
        timers_("fl-timers", 1 << 20),
        strand_("fl-sessions", 1 << 20),
        watch_strand_("fl-watches"),
        plane_(&timers_, config_.max_version),
        watches_(&plane_, &watch_strand_) {}

  ~Node() override { Stop(); }

  Status Start() {
    FL_RETURN_IF_ERROR(Identify());
    FL_RETURN_IF_ERROR(MakePeers());
    FL_RETURN_IF_ERROR(StartPeerServer());
    FL_RETURN_IF_ERROR(StartRaft());
    FL_RETURN_IF_ERROR(StartApiServer());
    FL_ASSIGN_OR_RETURN(
        http_, StartHttp(config_, parts(), raft_.get(), &rpcs_, [this] { return Refused(); }));
    FL_LOG(info, "node {} serves on {}; peers on {}; data in {}", config_.node_id,
           config_.api_listen, config_.peer_listen, config_.data_dir);
    return absl::OkStatus();
  }

 private:
  // Whose the data directory is, and, when it is new and to join, whose it will be.
  Status Identify() {
    cluster_peers_ = ClusterPeers::Make(config_.tls);
    cluster_.emplace(config_.node_id, &plane_, cluster_peers_.get(), &timers_);
    FL_ASSIGN_OR_RETURN(
        identity_, raft::OpenIdentity(config_.data_dir, config_.node_id, !config_.join.empty()));
    gate_.emplace(config_.data_dir, identity_);
    cluster_->SetGate(&*gate_);
    cluster_->SetRefusals([this] { return Refused(); });
    if (!identity_.joined || !identity_.cluster_id.empty()) return absl::OkStatus();
    FL_ASSIGN_OR_RETURN(const auto found,
                        FindCluster(cluster_peers_.get(), config_.join, config_.node_id, kJoin));
    gate_->SetCluster(found.cluster_id());
    FL_LOG(info,
           "node {} joins cluster {}; unless that has been done, add it: faultline cluster add {} "
           "HOST:PORT (of {} as others reach it)",
           config_.node_id, found.cluster_id(), config_.node_id, config_.peer_listen);
    return absl::OkStatus();
  }

  // Connections of other nodes that were not taken, by reason.
  std::map<std::string, uint64_t> Refused() const {
    auto refused = gate_->refused();
    if (names_->refused() > 0) refused["PEER_CERTIFICATE"] = names_->refused();
    for (const auto& [reason, count] : transport_->refused()) refused[reason] += count;
    return refused;
  }

  void OnMembers(const std::vector<raft::Member>& members) {
    if (members.empty()) return;  // of a node that waits to be told
    std::vector<raft::Member> others;
    std::vector<uint64_t> other_ids, ids;
    std::vector<std::string> addresses;
    for (const auto& member : members) {
      ids.push_back(member.id);
      addresses.push_back(member.address);
      if (member.id == config_.node_id) continue;
      others.push_back(member);
      other_ids.push_back(member.id);
    }
    peers_->SetMembers(others);
    relays_->SetOthers(std::move(other_ids));
    gate_->SetMembers(ids);
    names_->SetAddresses(addresses);
    versions_->SetMembers(std::move(ids));
  }

  Status MakePeers() {
    std::vector<raft::Member> others;
    std::vector<uint64_t> other_ids, all_ids = {config_.node_id};
    std::vector<std::string> addresses = config_.join;
    for (const auto& member : config_.members) addresses.push_back(member.address);
    names_->SetAddresses(addresses);
    for (const auto& member : config_.members) {
      if (member.id == config_.node_id) continue;
      others.push_back(member);
      other_ids.push_back(member.id);
      all_ids.push_back(member.id);
    }
    FL_ASSIGN_OR_RETURN(peers_, Peers::Make(others, config_.tls, &plane_));
    scheduler_.emplace(&strand_, &plane_, config_.lease);
    versions_.emplace(config_.node_id, &strand_, &plane_);
    leader_.emplace(config_.node_id, &plane_, peers_.get(), &*scheduler_, &timers_);
    saver_.emplace(config_.node_id, &plane_, &*leader_);
    sessions_.emplace(AgentSessions::Options{config_.node_id, config_.lease, config_.baseline},
                      &strand_, &plane_, &*leader_, peers_.get(), &*scheduler_);
    FL_ASSIGN_OR_RETURN(webhooks_, WebhookSender::Make(config_.webhooks, &strand_, &plane_));
    reporter_.emplace(&strand_, &plane_, &*leader_, &recorder_);
    experiments_.emplace(&plane_, &*leader_, config_.lease);
    reads_.emplace(config_.node_id, &plane_, &*leader_, &*sessions_);
    relays_.emplace(config_.node_id, other_ids, &strand_, peers_.get(), &plane_, &metrics_);
    versions_->SetMembers(std::move(all_ids));
    metrics_.ObserveDemand([this] { relays_->OnDemand(); });
    plane_.Observe([this](const Change& change) { sessions_->OnChange(change); });
    plane_.Observe([this](const Change& change) { watches_.OnChange(change); });
    plane_.Observe(LogExperiments(&plane_));
    plane_.Observe(RecordChanges(&plane_, &recorder_));
    plane_.Observe([this](const Change&) {
      gate_->SetCluster(plane_.version().cluster_id());
      webhooks_->webhooks().OnChange();
    });
    return absl::OkStatus();
  }

  Parts parts() {
    return {config_.node_id, &plane_,      &*leader_,   &*experiments_,
            &*reads_,        &watches_,    &metrics_,   &recorder_,
            &*sessions_,     &*scheduler_, &*versions_, &webhooks_->webhooks(),
            &gates_};
  }

  Status StartPeerServer() {
    // One set for every member: MakePeers and Cluster check that all can be reached with it.
    FL_ASSIGN_OR_RETURN(auto credentials, rpc::ChannelCredentials(
                                              config_.tls, config_.members.empty()
                                                               ? config_.join.front()
                                                               : config_.members.front().address));
    transport_ = std::make_unique<raft::GrpcTransport>(config_.node_id, std::move(credentials));
    transport_->SetHandshake([this] { return gate_->Hello(); },
                             [this](const raft::Hello& hello) { return gate_->Admit(hello); });
    cluster_peer_service_ = MakeClusterPeerService(&*cluster_);
    peer_service_ = MakePeerService(parts());
    grpc::ServerBuilder builder;
    int port = 0;
    FL_RETURN_IF_ERROR(PreparePort(builder, config_.tls, names_, config_.peer_listen, &port));
    builder.experimental().SetInterceptorCreators(Interceptors(/*of_clients=*/false));
    transport_->Register(builder);
    builder.RegisterService(peer_service_.get());
    builder.RegisterService(cluster_peer_service_.get());
    peer_server_ = builder.BuildAndStart();
    if (!peer_server_ || port == 0) return CannotListen(config_.peer_listen);
    return absl::OkStatus();
  }

  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> Interceptors(
      bool of_clients) {
    decltype(MalformedRequestInterceptors()) creators;
    if (of_clients) creators = MalformedRequestInterceptors();
    creators.push_back(MeterInterceptor(&rpcs_));
    return creators;
  }

  Status StartRaft() {
    raft::Options options;
    options.id = config_.node_id;
    options.members = config_.members;
    options.join = identity_.joined;
    options.data_dir = config_.data_dir;
    FL_ASSIGN_OR_RETURN(raft_, raft::Node::Start(std::move(options), &plane_, transport_.get()));
    raft_->ObserveView([id = config_.node_id, last = raft::View()](const raft::View& view) mutable {
      if (view.role == raft::Role::kLeader && (last.role != view.role || last.term != view.term)) {
        FL_LOG(info, "node {} is now leader of term {}", id, view.term);
      }
      last = view;
    });
    raft_->ObserveMembers([this](const std::vector<raft::Member>& members) { OnMembers(members); });
    plane_.Attach(raft_.get());
    cluster_->Attach(raft_.get());
    transport_->SetReceiver(
        [node = raft_.get()](uint64_t from, std::string message) {
          node->Receive(from, std::move(message));
        },
        [node = raft_.get()](const raft::Snapshot& wanted, uint64_t offset) {
          return node->ReadSnapshot(wanted, offset);
        });
    sessions_->Start();
    leader_->Start();
    versions_->Start();
    reporter_->Start();
    webhooks_->webhooks().Start();
    return absl::OkStatus();
  }

  Status StartApiServer() {
    grpc::EnableDefaultHealthCheckService(true);
    chaos_service_ = MakeChaosService(parts());
    agent_service_ = MakeAgentService(parts());
    cluster_service_ = MakeClusterService(&*cluster_, &plane_, &*saver_, &gates_);
    grpc::ServerBuilder builder;
    int port = 0;
    FL_RETURN_IF_ERROR(PreparePort(builder, config_.tls, nullptr, config_.api_listen, &port));
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.experimental().SetInterceptorCreators(Interceptors(/*of_clients=*/true));
    builder.RegisterService(chaos_service_.get());
    builder.RegisterService(agent_service_.get());
    builder.RegisterService(cluster_service_.get());
    api_server_ = builder.BuildAndStart();
    if (!api_server_ || port == 0) return CannotListen(config_.api_listen);
    return absl::OkStatus();
  }

  void Stop() {
    http_.reset();
    // With another leader in office, nobody has to wait until this one is missed.
    if (raft_ && api_server_) cluster_->HandOver(kHandOver);
    if (cluster_) cluster_->Detach();
    if (sessions_) sessions_->CloseAll();
    if (relays_) relays_->Shutdown();
    // First the log, so that every call that waits for it is answered; then the listeners, which
    // wait for their calls.
    if (transport_) transport_->SetReceiver(nullptr);
    plane_.Detach();
    raft_.reset();
    if (peers_) peers_->Shutdown();
    if (cluster_peers_) cluster_peers_->Shutdown();
    ShutDown(api_server_);
    ShutDown(peer_server_);
    saver_.reset();
    strand_.Stop();
    timers_.Stop();
    watch_strand_.Stop();
    api_server_.reset();
    peer_server_.reset();
  }

  const Config config_;
  const std::shared_ptr<rpc::PeerNames> names_ =
      std::make_shared<rpc::PeerNames>(config_.peer_name);
  Gates gates_;  // outlives every call
  RpcMeters rpcs_{ServedServices()};
  Strand timers_;
  Strand strand_;
  Strand watch_strand_;
  ControlPlane plane_;
  WatchHub watches_;
  MetricsHub metrics_;
  Recorder recorder_{config_.node_id, config_.baseline};
  raft::Identity identity_;
  std::optional<PeerGate> gate_;
  std::unique_ptr<ClusterPeers> cluster_peers_;
  std::optional<Cluster> cluster_;
  std::unique_ptr<Peers> peers_;
  std::optional<LeaderClient> leader_;
  std::optional<SnapshotSaver> saver_;
  std::optional<Scheduler> scheduler_;
  std::optional<VersionSwitch> versions_;
  std::optional<AgentSessions> sessions_;
  std::optional<ExperimentService> experiments_;
  std::optional<ReadService> reads_;
  std::optional<RelayManager> relays_;
  std::optional<Reporter> reporter_;
  std::unique_ptr<WebhookSender> webhooks_;
  std::unique_ptr<raft::GrpcTransport> transport_;
  std::unique_ptr<raft::Node> raft_;
  std::unique_ptr<grpc::Service> peer_service_, chaos_service_, agent_service_;
  std::unique_ptr<grpc::Service> cluster_service_, cluster_peer_service_;
  std::unique_ptr<grpc::Server> peer_server_, api_server_;
  std::unique_ptr<http::Listener> http_;
};

}  // namespace

StatusOr<std::unique_ptr<Controller>> Controller::Start(Config config) {
  FL_RETURN_IF_ERROR(Complete(&config));
  auto node = std::make_unique<Node>(std::move(config));
  FL_RETURN_IF_ERROR(node->Start());
  return std::unique_ptr<Controller>(std::move(node));
}

}  // namespace faultline::server
