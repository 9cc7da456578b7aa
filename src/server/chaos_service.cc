// ChaosController on the wire: calls and streams to their handlers.
#include "base/clock.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "control/selector.h"
#include "rpc/credentials.h"
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

CallContext ContextOf(const CallbackServerContext& context, uint64_t longest_ns = kLongestCallNs) {
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
                        context.deadline() - std::chrono::system_clock::now())
                        .count();
  const uint64_t left_ns = left > 0 ? static_cast<uint64_t>(left) : 0;
  return {rpc::CallerOf(context), MonotonicNowNs() + std::min(left_ns, longest_ns)};
}

// Whose share of the gates a call takes.
std::string ClientOf(const CallbackServerContext& context) {
  const rpc::Caller caller = rpc::CallerOf(context);
  return caller.authenticated ? caller.name : context.peer();
}

// The named experiments' end, known here; nothing when one is unknown.
std::optional<bool> AllFinished(const control::State& state, const std::set<std::string>& ids) {
  bool finished = true;
  for (const auto& id : ids) {
    const auto* record = state.Find(id);
    if (record == nullptr) return std::nullopt;
    finished &= control::IsFinished(record->experiment());
  }
  return finished;
}

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
    parts_.leader->CatchUp(ContextOf(*context), [this, stream, request = *request,
                                                 ticket = *ticket](const Status& fresh) {
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
    const auto ids = IdsOf(*request);
    const bool known_here = parts_.plane->With([&](const control::State& state, const auto&) {
      return AllFinished(state, ids).has_value();
    });
    if (known_here) {
      Subscribe(stream, *request, *ticket);
      return stream.get();
    }
    parts_.leader->CatchUp(ContextOf(*context), [this, stream, request = *request,
                                                 ticket = *ticket](const Status& fresh) {
      if (!fresh.ok()) return stream->End(fresh);
      Subscribe(stream, request, ticket);
    });
    return stream.get();
  }

 private:
  using MetricStream = PullStream<chaos::v1::MetricUpdate>;
  using WatchStream = PullStream<chaos::v1::WatchExperimentsResponse>;
  using Ticket = std::shared_ptr<Gate::Ticket>;
  // What is measured in the last moment of an experiment comes a little after its end.
  static constexpr std::chrono::seconds kAfterEnd{1};

  // Lets the call in, has its handler answer, and finishes with that.
  template <typename Request, typename Response, typename Handler>
  ServerUnaryReactor* Serve(CallbackServerContext* context, const Request& request,
                            Response* response, Handler* handler,
                            void (Handler::*method)(const CallContext&, const Request&,
                                                    Done<Response>),
                            uint64_t longest_ns = kLongestCallNs) {
    auto* reactor = context->DefaultReactor();
    const auto ticket = parts_.gates->calls.Enter(ClientOf(*context), request.ByteSizeLong());
    if (!ticket.ok()) {
      reactor->Finish(rpc::ToGrpc(ticket.status()));
      return reactor;
    }
    (handler->*method)(ContextOf(*context, longest_ns), request,
                       [reactor, response, ticket = *ticket](StatusOr<Response> answer) {
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
    stream->Feed([watcher, ticket, weak]() -> std::optional<chaos::v1::WatchExperimentsResponse> {
      auto next = watcher->Next();
      if (next.ok()) return *std::move(next);
      if (const auto ended = weak.lock()) ended->End(next.status());
      return std::nullopt;
    });
  }

  // Does the selector match the target, as this node knows it now?
  std::function<bool(const std::string&)> Observes(const std::string& text) const {
    if (text.empty()) return nullptr;
    // Validated before.
    const auto selector = std::make_shared<control::Selector>(*control::Selector::Parse(text));
    return [plane = parts_.plane, selector](const std::string& target_id) {
      return plane->With([&](const control::State& state, const auto&) {
        const auto agent = state.agents.find(target_id.substr(0, target_id.rfind('/')));
        if (agent == state.agents.end()) return false;
        for (const auto& target : agent->second.targets()) {
          if (target.target_id() == target_id) return selector->Matches(target);
        }
        return false;
      });
    };
  }

  void Subscribe(const std::shared_ptr<MetricStream>& stream,
                 const chaos::v1::SubscribeToMetricsRequest& request, const Ticket& ticket) const {
    MetricsHub::Filter filter;
    filter.all = request.all();
    filter.experiment_ids = IdsOf(request);
    filter.observes = Observes(request.target());
    if (request.rate_hz() > 0) filter.rate_hz = request.rate_hz();
    filter.include_histogram = request.include_histogram();
    for (const auto& position : request.resume()) {
      filter.resume[{position.agent_id(), position.incarnation()}] = position.sequence();
    }
    const auto ids = filter.experiment_ids;
    for (const auto& id : ids) {
      const bool known = parts_.plane->With(
          [&](const control::State& state, const auto&) { return state.Find(id) != nullptr; });
      if (known) continue;
      return stream->End(FieldError("experiment_id", id, "the id of an experiment",
                                    "EXPERIMENT_NOT_FOUND", StatusCode::kNotFound));
    }
    const std::weak_ptr<MetricStream> weak = stream;
    std::shared_ptr<MetricsHub::Subscription> subscription =
        parts_.metrics->Subscribe(std::move(filter), [weak] {
          if (const auto awake = weak.lock()) awake->Wake();
        });
    stream->Feed([subscription, ticket]() -> std::optional<chaos::v1::MetricUpdate> {
      const auto update = subscription->Next();
      return update ? std::optional(*update) : std::nullopt;
    });
    const bool only_named = !request.all() && request.target().empty();
    if (only_named) EndWith(ids, weak, subscription);
  }

  // Ends the stream soon after the named experiments have ended, when all has been said.
  void EndWith(const std::set<std::string>& ids, const std::weak_ptr<MetricStream>& weak,
               const std::weak_ptr<MetricsHub::Subscription>& fed_by) const {
    const auto over = [ids, weak](const control::State& state, uint64_t) {
      return weak.expired() || AllFinished(state, ids).value_or(true);
    };
    constexpr uint64_t kLongestNs = 48ULL * 3'600 * kNanosPerSecond;
    parts_.plane->WaitUntil(
        over, MonotonicNowNs() + kLongestNs, [this, weak, fed_by](const Status&) {
          const uint64_t end_ns =
              MonotonicNowNs() + static_cast<uint64_t>(std::chrono::nanoseconds(kAfterEnd).count());
          const auto never = [](const control::State&, uint64_t) { return false; };
          parts_.plane->WaitUntil(never, end_ns, [weak, fed_by](const Status&) {
            if (const auto subscription = fed_by.lock()) subscription->Finish();
            if (const auto stream = weak.lock()) stream->EndWhenEmpty(absl::OkStatus());
          });
        });
  }

  const Parts parts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeChaosService(const Parts& parts) {
  return std::make_unique<ChaosService>(parts);
}

}  // namespace faultline::server
