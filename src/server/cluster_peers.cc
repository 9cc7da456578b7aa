#include "server/cluster_peers.h"

#include <grpcpp/client_context.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "base/clock.h"
#include "rpc/credentials.h"
#include "rpc/peer_channel.h"
#include "rpc/status.h"
#include "server/v1/cluster.grpc.pb.h"

namespace faultline::server {
namespace {

constexpr int kFirstReconnectMs = 100;
constexpr int kLongestReconnectMs = 1'000;
// Channels that are kept: members of the present and of the last configurations.
constexpr size_t kMaxChannels = 32;

class GrpcClusterPeers final : public ClusterPeers {
 public:
  explicit GrpcClusterPeers(rpc::TlsFiles tls) : tls_(std::move(tls)) {}
  ~GrpcClusterPeers() override { Shutdown(); }

  void Describe(const std::string& address, const v1::DescribeRequest& request,
                uint64_t deadline_ns, Done<v1::DescribeResponse> done) override {
    Call(address, request, deadline_ns, std::move(done), &AsyncStub::Describe);
  }

  void Change(const std::string& address, const v1::ChangeRequest& request, uint64_t deadline_ns,
              std::function<void(Status)> done) override {
    Call<v1::ChangeRequest, v1::ChangeResponse>(
        address, request, deadline_ns,
        [done = std::move(done)](const StatusOr<v1::ChangeResponse>& answer) {
          done(answer.status());
        },
        &AsyncStub::Change);
  }

  void Shutdown() override {
    std::unique_lock lock(mutex_);
    closed_ = true;
    for (auto* context : contexts_) context->TryCancel();
    ended_.wait(lock, [this] { return contexts_.empty(); });
  }

 private:
  using Stub = v1::ClusterPeerService::Stub;
  using AsyncStub = v1::ClusterPeerService::StubInterface::async_interface;
  struct Peer {
    rpc::PeerChannel channel;
    std::shared_ptr<Stub> stub;
  };

  // With the mutex held.
  StatusOr<std::shared_ptr<Stub>> StubFor(const std::string& address) {
    if (const auto found = peers_.find(address); found != peers_.end()) {
      Peer& peer = found->second;
      if (peer.channel.Renew()) peer.stub = v1::ClusterPeerService::NewStub(peer.channel.channel());
      return peer.stub;
    }
    FL_ASSIGN_OR_RETURN(const auto credentials, rpc::ChannelCredentials(tls_, address));
    grpc::ChannelArguments arguments;
    rpc::SetReconnect(kFirstReconnectMs, kLongestReconnectMs, &arguments);
    if (peers_.size() >= kMaxChannels) peers_.clear();
    rpc::PeerChannel channel(address, credentials, arguments);
    rpc::KeepCallbackQueue(channel.channel());
    std::shared_ptr<Stub> stub = v1::ClusterPeerService::NewStub(channel.channel());
    peers_.emplace(address, Peer{std::move(channel), stub});
    return stub;
  }

  template <typename Request, typename Response>
  void Call(const std::string& address, const Request& request, uint64_t deadline_ns,
            Done<Response> done,
            void (AsyncStub::*method)(grpc::ClientContext*, const Request*, Response*,
                                      std::function<void(grpc::Status)>)) {
    struct State {
      std::shared_ptr<Stub> stub;
      grpc::ClientContext context;
      Request request;
      Response response;
    };
    auto state = std::make_shared<State>();
    {
      std::unique_lock lock(mutex_);
      auto stub = StubFor(address);
      if (closed_) stub = MakeError(StatusCode::kUnavailable, "this node is ending");
      if (!stub.ok()) {
        lock.unlock();
        return done(stub.status());
      }
      state->stub = *stub;
      contexts_.insert(&state->context);
    }
    const uint64_t now_ns = MonotonicNowNs();
    const std::chrono::nanoseconds left(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
    state->context.set_deadline(
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
    state->request = request;
    (state->stub->async()->*method)(
        &state->context, &state->request, &state->response,
        [this, state, done = std::move(done)](const grpc::Status& status) {
          if (status.ok()) {
            done(std::move(state->response));
          } else {
            done(rpc::FromGrpc(status));
          }
          const std::lock_guard lock(mutex_);
          contexts_.erase(&state->context);
          ended_.notify_all();
        });
  }

  const rpc::TlsFiles tls_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool closed_ = false;
  std::map<std::string, Peer> peers_;  // by address
  std::set<grpc::ClientContext*> contexts_;
};

}  // namespace

std::unique_ptr<ClusterPeers> ClusterPeers::Make(const rpc::TlsFiles& tls) {
  return std::make_unique<GrpcClusterPeers>(tls);
}

}  // namespace faultline::server
