#include "server/peers.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "rpc/credentials.h"
#include "rpc/peer_channel.h"
#include "rpc/status.h"
#include "server/control_plane.h"
#include "server/v1/peer.grpc.pb.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

constexpr int kFirstReconnectMs = 50;
constexpr int kLongestReconnectMs = 500;
// A batch as it came from its agent, in another message.
static_assert(rpc::kMaxAnswerBytes >= kMaxMessageBytes + 1'024);

std::chrono::system_clock::time_point ToDeadline(uint64_t deadline_ns) {
  const uint64_t now_ns = MonotonicNowNs();
  const std::chrono::nanoseconds left(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
}

Status NoSuchMember(uint64_t node_id) {
  return MakeError(StatusCode::kUnavailable, "node {} cannot be asked", node_id);
}

// The calls under way, so that they can be cancelled and waited for.
class Calls {
 public:
  // False when closed: the call may not begin.
  bool Begin(grpc::ClientContext* context) {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    contexts_.insert(context);
    return true;
  }
  void End(grpc::ClientContext* context) {
    const std::lock_guard lock(mutex_);
    contexts_.erase(context);
    ended_.notify_all();
  }
  void Close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    for (auto* context : contexts_) context->TryCancel();
    ended_.wait(lock, [this] { return contexts_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool closed_ = false;
  std::set<grpc::ClientContext*> contexts_;
};

class RelayReader final
    : public Peers::Relay,
      public grpc::ClientBidiReactor<v1::RelayMetricsRequest, v1::RelayMetricsResponse> {
 public:
  RelayReader(std::shared_ptr<v1::PeerService::Stub> stub, uint64_t own_id, const AgentSet& agents,
              std::function<void(const chaos::v1::MetricsBatch&)> on_batch,
              std::function<void(const grpc::Status&)> on_end)
      : stub_(std::move(stub)),
        own_id_(own_id),
        on_batch_(std::move(on_batch)),
        on_end_(std::move(on_end)) {
    stub_->async()->RelayMetrics(&context_, this);
    AddHold();  // for Want, until nothing more can be read
    Want(agents);
    StartRead(&response_);
    StartCall();
  }
  ~RelayReader() override {
    std::unique_lock lock(mutex_);
    cancelled_ = true;
    context_.TryCancel();
    ended_.wait(lock, [this] { return done_; });
  }
  void Want(const AgentSet& agents) override {
    v1::RelayMetricsRequest request;
    request.set_node_id(own_id_);
    *request.mutable_agent_ids() = {agents.ids.begin(), agents.ids.end()};
    const std::lock_guard lock(mutex_);
    next_request_ = std::move(request);
    Write();
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (ok) Write();
  }
  void OnReadDone(bool ok) override {
    if (ok) {
      on_batch_(response_.batch());
      return StartRead(&response_);
    }
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    const std::lock_guard lock(mutex_);
    if (!cancelled_) on_end_(status);
    done_ = true;
    ended_.notify_all();
  }

 private:
  // The newest request that waits. With the mutex held.
  void Write() {
    if (writing_ || over_ || !next_request_) return;
    writing_ = true;
    request_ = *std::exchange(next_request_, std::nullopt);
    StartWrite(&request_);
  }

  const std::shared_ptr<v1::PeerService::Stub> stub_;
  const uint64_t own_id_;
  const std::function<void(const chaos::v1::MetricsBatch&)> on_batch_;
  const std::function<void(const grpc::Status&)> on_end_;
  grpc::ClientContext context_;
  v1::RelayMetricsRequest request_;
  v1::RelayMetricsResponse response_;
  std::mutex mutex_;
  std::optional<v1::RelayMetricsRequest> next_request_;
  bool writing_ = false;
  bool over_ = false;  // no write may begin any more
  std::condition_variable ended_;
  bool cancelled_ = false;
  bool done_ = false;
};

class GrpcPeers final : public Peers {
 public:
  GrpcPeers(rpc::TlsFiles tls, const ControlPlane* plane) : tls_(std::move(tls)), plane_(plane) {}
  ~GrpcPeers() override { calls_.Close(); }

  void SetMembers(const std::vector<raft::Member>& members) override {
    const std::lock_guard lock(mutex_);
    std::erase_if(peers_, [&](const auto& peer) {
      return std::none_of(members.begin(), members.end(), [&](const raft::Member& member) {
        return member.id == peer.first && member.address == peer.second.channel.address();
      });
    });
    for (const auto& member : members) {
      if (peers_.count(member.id) > 0) continue;
      if (const Status status = Add(member); !status.ok()) {
        FL_LOG(error, "member {} cannot be asked: {}", member.id, ToString(status.message()));
      }
    }
  }

  // With the mutex held, or before anybody else has the object.
  Status Add(const raft::Member& member) {
    FL_ASSIGN_OR_RETURN(const auto credentials, rpc::ChannelCredentials(tls_, member.address));
    grpc::ChannelArguments arguments;
    rpc::SetReconnect(kFirstReconnectMs, kLongestReconnectMs, &arguments);
    arguments.SetMaxReceiveMessageSize(rpc::kMaxAnswerBytes);
    rpc::PeerChannel channel(member.address, credentials, arguments);
    auto stub = v1::PeerService::NewStub(channel.channel());
    peers_.emplace(member.id, Peer{std::move(channel), std::move(stub)});
    return absl::OkStatus();
  }

  void Forward(uint64_t node_id, const v1::ForwardRequest& request, uint64_t deadline_ns,
               Done<v1::ForwardResponse> done) override {
    Call(node_id, request, deadline_ns, std::move(done), &AsyncStub::Forward);
  }
  void ReadIndex(uint64_t node_id, const v1::ReadIndexRequest& request, uint64_t deadline_ns,
                 Done<v1::ReadIndexResponse> done) override {
    Call(node_id, request, deadline_ns, std::move(done), &AsyncStub::ReadIndex);
  }
  void ReportSessions(uint64_t node_id, const v1::ReportSessionsRequest& request,
                      uint64_t deadline_ns, Done<v1::ReportSessionsResponse> done) override {
    Call(node_id, request, deadline_ns, std::move(done), &AsyncStub::ReportSessions);
  }
  std::unique_ptr<Relay> RelayMetrics(uint64_t node_id, uint64_t own_id, const AgentSet& agents,
                                      std::function<void(const chaos::v1::MetricsBatch&)> on_batch,
                                      std::function<void()> on_end) override {
    auto stub = StubOf(node_id);
    if (stub == nullptr) return nullptr;
    auto tell_end = [this, node_id, on_end = std::move(on_end)](const grpc::Status& status) {
      LogEnd(node_id, status);
      on_end();
    };
    return std::make_unique<RelayReader>(std::move(stub), own_id, agents, std::move(on_batch),
                                         std::move(tell_end));
  }
  void Shutdown() override { calls_.Close(); }

 private:
  using AsyncStub = v1::PeerService::StubInterface::async_interface;
  struct Peer {
    rpc::PeerChannel channel;
    std::shared_ptr<v1::PeerService::Stub> stub;
  };

  // For a call; nullptr when there is no such member.
  std::shared_ptr<v1::PeerService::Stub> StubOf(uint64_t node_id) {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.find(node_id);
    if (found == peers_.end()) return nullptr;
    Peer& peer = found->second;
    if (peer.channel.Renew()) peer.stub = v1::PeerService::NewStub(peer.channel.channel());
    rpc::KeepCallbackQueue(peer.channel.channel());
    return peer.stub;
  }

  // It is opened again at once, and may end as often.
  void LogEnd(uint64_t node_id, const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    const uint64_t count = ++relays_ended_[node_id];
    if (!IsWorthALine(count)) return;
    FL_LOG(info, "node {} gives no more measurements: {} ({} times)", node_id,
           status.ok() ? "it is stopped" : status.error_message(), count);
  }

  template <typename Request, typename Response>
  void Call(uint64_t node_id, const Request& request, uint64_t deadline_ns, Done<Response> done,
            void (AsyncStub::*method)(grpc::ClientContext*, const Request*, Response*,
                                      std::function<void(grpc::Status)>)) {
    struct State {
      std::shared_ptr<v1::PeerService::Stub> stub;
      grpc::ClientContext context;
      Request request;
      Response response;
    };
    auto state = std::make_shared<State>();
    state->stub = StubOf(node_id);
    if (state->stub == nullptr) return done(NoSuchMember(node_id));
    if (!calls_.Begin(&state->context)) return done(NoSuchMember(node_id));
    state->context.set_deadline(ToDeadline(deadline_ns));
    state->request = request;
    state->request.set_cluster_id(plane_->version().cluster_id());
    (state->stub->async()->*method)(
        &state->context, &state->request, &state->response,
        [this, state, done = std::move(done)](const grpc::Status& status) {
          if (status.ok()) {
            done(std::move(state->response));
          } else {
            done(rpc::FromGrpc(status));
          }
          calls_.End(&state->context);
        });
  }

  const rpc::TlsFiles tls_;
  const ControlPlane* const plane_;
  std::mutex mutex_;
  std::map<uint64_t, Peer> peers_;
  std::map<uint64_t, uint64_t> relays_ended_;
  Calls calls_;
};

}  // namespace

StatusOr<std::unique_ptr<Peers>> Peers::Make(const std::vector<raft::Member>& members,
                                             const rpc::TlsFiles& tls, const ControlPlane* plane) {
  auto peers = std::make_unique<GrpcPeers>(tls, plane);
  for (const auto& member : members) FL_RETURN_IF_ERROR(peers->Add(member));
  return std::unique_ptr<Peers>(std::move(peers));
}

}  // namespace faultline::server
