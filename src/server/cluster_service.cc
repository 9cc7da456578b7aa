// ClusterService on the API listener and ClusterPeerService on the peers': from the wire to
// Cluster.
#include "server/cluster_service.h"

#include "base/clock.h"
#include "chaos/v1/cluster.grpc.pb.h"
#include "rpc/credentials.h"
#include "rpc/status.h"
#include "server/incoming.h"
#include "server/pull_stream.h"
#include "server/v1/cluster.grpc.pb.h"

namespace faultline::server {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

// A call without a deadline of its own gets this one, and none gets a later one. A promotion waits
// for the member to catch up.
constexpr uint64_t kLongestCallNs = 120 * kNanosPerSecond;
// For a node to come to what the others have committed.
constexpr uint64_t kLongestCatchUpNs = 10 * kNanosPerSecond;

// Less what the answer needs for its way back.
CallContext ShorterContextOf(const CallbackServerContext& context) {
  return {rpc::CallerOf(context), MonotonicNowNs() + LeftNs(context, kLongestCallNs) / 10 * 9};
}

// `held`: until then.
std::function<void(Status)> FinishWith(ServerUnaryReactor* reactor,
                                       std::shared_ptr<Gate::Ticket> held = nullptr) {
  return [reactor, held = std::move(held)](const Status& status) {
    reactor->Finish(rpc::ToGrpc(status));
  };
}

// Whether the caller is gone; until the call is finished.
std::function<bool()> CancelledOf(const CallbackServerContext* context) {
  return [context] { return context->IsCancelled(); };
}

class ClusterService final : public chaos::v1::ClusterService::CallbackService {
 public:
  ClusterService(Cluster* cluster, ControlPlane* plane, SnapshotSaver* saver, Gates* gates)
      : cluster_(cluster), plane_(plane), saver_(saver), gates_(gates) {}

  ServerUnaryReactor* GetCluster(CallbackServerContext* context,
                                 const chaos::v1::GetClusterRequest* request,
                                 chaos::v1::GetClusterResponse* response) override {
    auto* reactor = context->DefaultReactor();
    const auto ticket = Admit(gates_, *context, *request, reactor);
    if (ticket == nullptr) return reactor;
    cluster_->Get(ShorterContextOf(*context),
                  [reactor, response, ticket](StatusOr<chaos::v1::GetClusterResponse> answer) {
                    if (answer.ok()) *response = *std::move(answer);
                    reactor->Finish(rpc::ToGrpc(answer.status()));
                  });
    return reactor;
  }

  ServerUnaryReactor* AddMember(CallbackServerContext* context,
                                const chaos::v1::AddMemberRequest* request,
                                chaos::v1::AddMemberResponse*) override {
    return Change(context, *request, v1::ChangeRequest::KIND_ADD, request->address());
  }
  ServerUnaryReactor* PromoteMember(CallbackServerContext* context,
                                    const chaos::v1::PromoteMemberRequest* request,
                                    chaos::v1::PromoteMemberResponse*) override {
    return Change(context, *request, v1::ChangeRequest::KIND_PROMOTE);
  }
  ServerUnaryReactor* RemoveMember(CallbackServerContext* context,
                                   const chaos::v1::RemoveMemberRequest* request,
                                   chaos::v1::RemoveMemberResponse*) override {
    return Change(context, *request, v1::ChangeRequest::KIND_REMOVE);
  }
  ServerUnaryReactor* SetMemberAddress(CallbackServerContext* context,
                                       const chaos::v1::SetMemberAddressRequest* request,
                                       chaos::v1::SetMemberAddressResponse*) override {
    return Change(context, *request, v1::ChangeRequest::KIND_SET_ADDRESS, request->address());
  }

  ServerUnaryReactor* TransferLeadership(CallbackServerContext* context,
                                         const chaos::v1::TransferLeadershipRequest* request,
                                         chaos::v1::TransferLeadershipResponse* response) override {
    auto* reactor = context->DefaultReactor();
    const auto ticket = Admit(gates_, *context, *request, reactor);
    if (ticket == nullptr) return reactor;
    v1::ChangeRequest change;
    change.set_kind(v1::ChangeRequest::KIND_TRANSFER);
    change.set_node_id(request->node_id());
    change.set_caller(rpc::CallerOf(*context).name);
    cluster_->Change(
        ShorterContextOf(*context), change,
        [this, reactor, response, ticket, to = request->node_id()](const Status& status) {
          if (status.ok()) {
            response->set_leader_id(to != 0 ? to : plane_->view().leader_id);
          }
          reactor->Finish(rpc::ToGrpc(status));
        },
        CancelledOf(context));
    return reactor;
  }

  grpc::ServerWriteReactor<chaos::v1::SaveSnapshotResponse>* SaveSnapshot(
      CallbackServerContext* context, const chaos::v1::SaveSnapshotRequest* request) override {
    const auto stream = SaveStream::Make();
    const std::weak_ptr<SaveStream> weak = stream;
    CallContext call = ShorterContextOf(*context);
    call.deadline_ns = std::min(call.deadline_ns, MonotonicNowNs() + kLongestCatchUpNs);
    saver_->Begin(
        call, request->stale(),
        [weak] {
          if (const auto awake = weak.lock()) awake->Wake();
        },
        [stream](StatusOr<std::shared_ptr<SnapshotSaver::Save>> save) {
          if (!save.ok()) return stream->End(save.status());
          Feed(stream, *std::move(save));
        });
    return stream.get();
  }

 private:
  using SaveStream = PullStream<chaos::v1::SaveSnapshotResponse>;

  static void Feed(const std::shared_ptr<SaveStream>& stream,
                   std::shared_ptr<SnapshotSaver::Save> save) {
    const std::weak_ptr<SaveStream> weak = stream;
    stream->Feed([weak, save = std::move(save)]() -> SaveStream::Message {
      auto next = save->Next();
      if (next.ok()) return SaveStream::Shared(*std::move(next));
      const bool complete = next.status().code() == StatusCode::kOutOfRange;
      if (const auto ended = weak.lock()) ended->End(complete ? absl::OkStatus() : next.status());
      return nullptr;
    });
  }

  template <typename Request>
  ServerUnaryReactor* Change(CallbackServerContext* context, const Request& request,
                             v1::ChangeRequest::Kind kind, const std::string& address = "") {
    auto* reactor = context->DefaultReactor();
    auto ticket = Admit(gates_, *context, request, reactor);
    if (ticket == nullptr) return reactor;
    v1::ChangeRequest change;
    change.set_kind(kind);
    change.set_node_id(request.node_id());
    change.set_address(address);
    change.set_caller(rpc::CallerOf(*context).name);
    cluster_->Change(ShorterContextOf(*context), change, FinishWith(reactor, std::move(ticket)),
                     CancelledOf(context));
    return reactor;
  }

  Cluster* const cluster_;
  ControlPlane* const plane_;
  SnapshotSaver* const saver_;
  Gates* const gates_;
};

class ClusterPeerService final : public v1::ClusterPeerService::CallbackService {
 public:
  explicit ClusterPeerService(Cluster* cluster) : cluster_(cluster) {}

  ServerUnaryReactor* Describe(CallbackServerContext* context, const v1::DescribeRequest*,
                               v1::DescribeResponse* response) override {
    auto* reactor = context->DefaultReactor();
    cluster_->Describe([reactor, response](StatusOr<v1::DescribeResponse> answer) {
      if (answer.ok()) *response = *std::move(answer);
      reactor->Finish(rpc::ToGrpc(answer.status()));
    });
    return reactor;
  }

  ServerUnaryReactor* Change(CallbackServerContext* context, const v1::ChangeRequest* request,
                             v1::ChangeResponse*) override {
    auto* reactor = context->DefaultReactor();
    cluster_->ChangeHere(*request, FinishWith(reactor));
    return reactor;
  }

 private:
  Cluster* const cluster_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeClusterService(Cluster* cluster, ControlPlane* plane,
                                                  SnapshotSaver* saver, Gates* gates) {
  return std::make_unique<ClusterService>(cluster, plane, saver, gates);
}

std::unique_ptr<grpc::Service> MakeClusterPeerService(Cluster* cluster) {
  return std::make_unique<ClusterPeerService>(cluster);
}

}  // namespace faultline::server
