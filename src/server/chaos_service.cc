// ChaosController on the wire: calls and streams to their handlers.
#include "base/clock.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "server/incoming.h"
#include "server/metric_stream.h"
#include "server/pull_stream.h"
#include "server/services.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using grpc::ServerWriteReactor;

// A call without a deadline of its own gets this one, and none gets a later one.
constexpr uint64_t kLongestCallNs = 10 * kNanosPerSecond;
// A StopExperiment may wait for longer.
constexpr uint64_t kLongestWaitNs = 660 * kNanosPerSecond;

class ChaosService final : public chaos::v1::ChaosController::CallbackService {
 public:
  explicit ChaosService(const Parts& parts) : parts_(parts) {}

  ServerUnaryReactor* StartExperiment(CallbackServerContext* context,
                                      const chaos::v1::StartExperimentRequest* request,
                                      chaos::v1::StartExperimentResponse* response) override {
    return Serve(context, *request, response, parts_.experiments, &ExperimentService::Start);
  }
  ServerUnaryReactor* StopExperiment(CallbackServerContext* context,
                                     const chaos::v1::StopExperimentRequest* request,
                                     chaos::v1::StopExperimentResponse* response) override {
    return Serve(context, *request, response, parts_.experiments, &ExperimentService::Stop,
                 request->has_wait() ? kLongestWaitNs : kLongestCallNs);
  }
  ServerUnaryReactor* GetExperiment(CallbackServerContext* context,
                                    const chaos::v1::GetExperimentRequest* request,
                                    chaos::v1::GetExperimentResponse* response) override {
    return Serve(context, *request, response, parts_.reads, &ReadService::GetExperiment);
  }
  ServerUnaryReactor* GetReport(CallbackServerContext* context,
                                const chaos::v1::GetReportRequest* request,
                                chaos::v1::GetReportResponse* response) override {
    return Serve(context, *request, response, parts_.reads, &ReadService::GetReport);
  }
  ServerUnaryReactor* ListExperiments(CallbackServerContext* context,
                                      const chaos::v1::ListExperimentsRequest* request,
                                      chaos::v1::ListExperimentsResponse* response) override {
    return Serve(context, *request, response, parts_.reads, &ReadService::ListExperiments);
  }
  ServerUnaryReactor* ListAgents(CallbackServerContext* context,
                                 const chaos::v1::ListAgentsRequest* request,
                                 chaos::v1::ListAgentsResponse* response) override {
    return Serve(context, *request, response, parts_.reads, &ReadService::ListAgents);
  }
  ServerUnaryReactor* ListTargets(CallbackServerContext* context,
                                  const chaos::v1::ListTargetsRequest* request,
                                  chaos::v1::ListTargetsResponse* response) override {
    return Serve(context, *request, response, parts_.reads, &ReadService::ListTargets);
  }
  ServerUnaryReactor* ListFaultKinds(CallbackServerContext* context,
                                     const chaos::v1::ListFaultKindsRequest*,
                                     chaos::v1::ListFaultKindsResponse* response) override {
    auto* reactor = context->DefaultReactor();
    *response = ReadService::ListFaultKinds();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  ServerWriteReactor<chaos::v1::WatchExperimentsResponse>* WatchExperiments(
      CallbackServerContext* context, const chaos::v1::WatchExperimentsRequest* request) override {
    const auto stream = WatchStream::Make();
    if (const Status status = Validate(*request); !status.ok()) {
      stream->End(status);
      return stream.get();
    }
    const auto ticket = parts_.gates->streams.Enter(ClientOf(*context), 0);
    if (!ticket.ok()) {
      stream->End(ticket.status());
      return stream.get();
    }
    // What is asked for after a revision comes when it is applied here; the present state is as
    // fresh as any read.
    if (request->stale() || request->after_revision() > 0) {
      Watch(stream, *request, *ticket);
      return stream.get();
    }
    parts_.leader->CatchUp(
        ContextOf(*context, kLongestCallNs),
        [this, stream, request = *request, ticket = *ticket](const Status& fresh) {
          if (!fresh.ok()) return stream->End(fresh);
          Watch(stream, request, ticket);
        });
    return stream.get();
  }

  ServerWriteReactor<chaos::v1::MetricUpdate>* SubscribeToMetrics(
      CallbackServerContext* context,
      const chaos::v1::SubscribeToMetricsRequest* request) override {
    const auto stream = MetricStream::Make();
    if (const Status status = Validate(*request); !status.ok()) {
      stream->End(status);
      return stream.get();
    }
    const auto ticket = parts_.gates->streams.Enter(ClientOf(*context), 0);
    if (!ticket.ok()) {
      stream->End(ticket.status());
      return stream.get();
    }
    if (KnowsAll(parts_, *request)) {
      StreamMetrics(parts_, stream, *request, *ticket);
      return stream.get();
    }
    parts_.leader->CatchUp(
        ContextOf(*context, kLongestCallNs),
        [this, stream, request = *request, ticket = *ticket](const Status& fresh) {
          if (!fresh.ok()) return stream->End(fresh);
          StreamMetrics(parts_, stream, request, ticket);
        });
    return stream.get();
  }

 private:
  using WatchStream = PullStream<chaos::v1::WatchExperimentsResponse>;
  using Ticket = std::shared_ptr<Gate::Ticket>;
  // Lets the call in, has its handler answer, and finishes with that.
  template <typename Request, typename Response, typename Handler>
  ServerUnaryReactor* Serve(CallbackServerContext* context, const Request& request,
                            Response* response, Handler* handler,
                            void (Handler::*method)(const CallContext&, const Request&,
                                                    Done<Response>),
                            uint64_t longest_ns = kLongestCallNs) {
    auto* reactor = context->DefaultReactor();
    const auto ticket = Admit(parts_.gates, *context, request, reactor);
    if (ticket == nullptr) return reactor;
    (handler->*method)(ContextOf(*context, longest_ns), request,
                       [reactor, response, ticket](StatusOr<Response> answer) {
                         if (answer.ok()) *response = *std::move(answer);
                         reactor->Finish(rpc::ToGrpc(answer.status()));
                       });
    return reactor;
  }

  void Watch(const std::shared_ptr<WatchStream>& stream,
             const chaos::v1::WatchExperimentsRequest& request, const Ticket& ticket) const {
    const std::weak_ptr<WatchStream> weak = stream;
    std::shared_ptr<WatchHub::Watcher> watcher = parts_.watches->Watch(request, [weak] {
      if (const auto awake = weak.lock()) awake->Wake();
    });
    stream->Feed([watcher, ticket, weak]() -> WatchStream::Message {
      auto next = watcher->Next();
      if (next.ok()) return WatchStream::Shared(*std::move(next));
      if (const auto ended = weak.lock()) ended->End(next.status());
      return nullptr;
    });
  }

  const Parts parts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeChaosService(const Parts& parts) {
  return std::make_unique<ChaosService>(parts);
}

}  // namespace faultline::server
