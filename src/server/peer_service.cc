// PeerService on the wire: what other nodes ask of this one.
#include <algorithm>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/log.h"
#include "rpc/credentials.h"
#include "rpc/status.h"
#include "server/incoming.h"
#include "server/pull_stream.h"
#include "server/services.h"
#include "server/v1/peer.grpc.pb.h"

namespace faultline::server {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

constexpr uint64_t kLongestNs = 60 * kNanosPerSecond;

// What another node wants of this one's batches.
class RelayStream final
    : public PullStream<
          v1::RelayMetricsResponse,
          grpc::ServerBidiReactor<v1::RelayMetricsRequest, v1::RelayMetricsResponse>> {
 public:
  static RelayStream* Make(MetricsHub* hub) {
    const auto stream = PullStream::Make<RelayStream>();
    stream->relay_ = hub->SubscribeRelay([weak = std::weak_ptr(stream)] {
      if (const auto awake = weak.lock()) awake->Wake();
    });
    stream->Feed([relay = stream->relay_]() -> Message {
      const auto batch = relay->Next();
      if (!batch) return nullptr;
      auto response = std::make_shared<v1::RelayMetricsResponse>();
      *response->mutable_batch() = *batch;
      return response;
    });
    stream->StartRead(&stream->request_);
    return stream.get();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // there are no more requests
    const auto& ids = request_.agent_ids();
    relay_->Want({.all = ids.empty(), .ids = {ids.begin(), ids.end()}});
    StartRead(&request_);
  }

 private:
  std::shared_ptr<MetricsHub::Relay> relay_;
  v1::RelayMetricsRequest request_;
};

class PeerService final : public v1::PeerService::CallbackService {
 public:
  explicit PeerService(const Parts& parts) : parts_(parts) {}

  ServerUnaryReactor* Forward(CallbackServerContext* context, const v1::ForwardRequest* request,
                              v1::ForwardResponse* response) override {
    auto* reactor = context->DefaultReactor();
    if (!IsOfOurs(*request, reactor)) return reactor;
    // gRPC keeps the request until the answer.
    const CommandPtr command(CommandPtr(), &request->command());
    if (command->has_create_experiment() || command->has_stop_experiments()) {
      // The node that was asked tells at info.
      const auto& ids = command->stop_experiments().experiment_ids();
      const LogFields about{{"experiment_id", ids.size() == 1 ? ids[0] : ""},
                            {"request_id", command->create_experiment().request_id()}};
      FL_LOG(debug, "{} for '{}'{}, forwarded by {}",
             command->has_create_experiment() ? "a start" : "a stop", request->caller().name(),
             request->caller().authenticated() ? "" : " (no certificate)",
             rpc::CallerOf(*context).name);
    }
    parts_.plane->Propose(command, MonotonicNowNs() + LeftNs(*context, kLongestNs),
                          [reactor, response](StatusOr<ControlPlane::Proposed> proposed) {
                            if (proposed.ok()) {
                              response->set_revision(proposed->revision);
                              *response->mutable_result() = std::move(proposed->result);
                            }
                            reactor->Finish(rpc::ToGrpc(proposed.status()));
                          });
    return reactor;
  }

  ServerUnaryReactor* ReadIndex(CallbackServerContext* context, const v1::ReadIndexRequest* request,
                                v1::ReadIndexResponse* response) override {
    auto* reactor = context->DefaultReactor();
    if (!IsOfOurs(*request, reactor)) return reactor;
    // A node of version 1 says nothing of it.
    parts_.versions->Report(request->node_id(), std::max(request->version(), 1u));
    parts_.plane->ReadIndex(
        [this, reactor, response, agents = request->agents()](const StatusOr<uint64_t>& revision) {
          if (!revision.ok()) return reactor->Finish(rpc::ToGrpc(revision.status()));
          response->set_revision(*revision);
          if (!agents) return reactor->Finish(grpc::Status::OK);
          parts_.scheduler->Served([reactor, response](std::vector<v1::AgentSession> served) {
            for (auto& agent : served) *response->add_agents() = std::move(agent);
            reactor->Finish(grpc::Status::OK);
          });
        });
    return reactor;
  }

  ServerUnaryReactor* ReportSessions(CallbackServerContext* context,
                                     const v1::ReportSessionsRequest* request,
                                     v1::ReportSessionsResponse* response) override {
    auto* reactor = context->DefaultReactor();
    if (!IsOfOurs(*request, reactor)) return reactor;
    parts_.scheduler->ReportSessions(
        *request, [reactor, response](const StatusOr<v1::ReportSessionsResponse>& answer) {
          if (answer.ok()) *response = *answer;
          reactor->Finish(rpc::ToGrpc(answer.status()));
        });
    return reactor;
  }

  grpc::ServerBidiReactor<v1::RelayMetricsRequest, v1::RelayMetricsResponse>* RelayMetrics(
      CallbackServerContext*) override {
    return RelayStream::Make(parts_.metrics);
  }

 private:
  // Else the call is over.
  template <typename Request>
  bool IsOfOurs(const Request& request, ServerUnaryReactor* reactor) const {
    const Status status = parts_.plane->CheckCluster(request.cluster_id());
    if (!status.ok()) reactor->Finish(rpc::ToGrpc(status));
    return status.ok();
  }

  const Parts parts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePeerService(const Parts& parts) {
  return std::make_unique<PeerService>(parts);
}

}  // namespace faultline::server
