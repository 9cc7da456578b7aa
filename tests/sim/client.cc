#include "sim/client.h"

#include "base/clock.h"

namespace faultline::sim {
namespace {

constexpr uint64_t kDeadlineNs = 2 * kSecond;
constexpr int kRepeats = 3;

}  // namespace

bool IsRefusal(const Status& status) {
  return status.code() == StatusCode::kFailedPrecondition ||
         status.code() == StatusCode::kNotFound || status.code() == StatusCode::kInvalidArgument ||
         status.code() == StatusCode::kAlreadyExists;
}

std::string Outcome(const Status& status) {
  return status.ok() ? "ok" : fmt::format("{}", ToString(status.message()));
}

Client::Client(std::string name, ClientWorld* shared)
    : name_(std::move(name)), shared_(shared), world_(shared->world), host_(shared->world->here()) {
  Next();
}

void Client::Next() {
  world_->At(host_, world_->now_ns() + world_->Between(1, 120) * kMs, [this] { Step(); });
}

template <typename Response, typename Serve, typename Finish>
void Client::Call(Serve serve, Finish finish) {
  auto once = [done = std::make_shared<std::function<void(StatusOr<Response>)>>(finish)](
                  StatusOr<Response> response) {
    if (const auto first = std::exchange(*done, nullptr)) first(std::move(response));
  };
  world_->At(host_, world_->now_ns() + kDeadlineNs + 100 * kMs,
             [once] { once(MakeError(StatusCode::kUnavailable, "no answer")); });
  const std::vector<uint64_t> told = shared_->directory->Told();
  const uint64_t node = told[world_->Between(0, told.size() - 1)];
  const HostId there = shared_->directory->nodes.at(node).host;
  if (!world_->IsUp(there)) {
    world_->At(host_, world_->now_ns() + kMs,
               [once] { once(MakeError(StatusCode::kUnavailable, "connection refused")); });
    return;
  }
  auto reply = [network = shared_->network, there, host = host_,
                once](StatusOr<Response> response) {
    network->SendOnce(there, host, [once, response] { once(response); });
  };
  shared_->network->SendOnce(
      host_, there, [directory = shared_->directory, node, name = name_, serve, reply] {
        Controller* controller = directory->Find(node);
        if (controller == nullptr || controller->node() == nullptr) return;
        serve(*controller, server::CallContext{{name, false}, MonotonicNowNs() + kDeadlineNs},
              reply);
      });
}

void Client::Step() {
  if (world_->now_ns() >= shared_->end_ns) return;
  const uint64_t dice = world_->Between(1, 100);
  if (shared_->known.empty() || dice <= 40) {
    const std::string request_id = fmt::format("{}-{}", name_, ++starts_);
    chaos::v1::StartExperimentRequest request = NewStart();
    request.set_request_id(request_id);
    return Start(request_id, request, kRepeats);
  }
  if (dice <= 50) return List();
  // Mostly those of late.
  const size_t count = shared_->known.size();
  const size_t back = world_->Between(0, std::min<size_t>(count - 1, world_->Chance(0.8) ? 3 : 50));
  const ClientWorld::Known experiment = shared_->known[count - 1 - back];
  if (dice <= 75) return Stop(experiment);
  Get(experiment);
}

chaos::v1::StartExperimentRequest Client::NewStart() {
  chaos::v1::StartExperimentRequest request;
  const char* service = world_->Chance(0.5) ? "checkout" : "cart";
  const std::string& agent = shared_->agents[world_->Between(0, shared_->agents.size() - 1)];
  request.set_target(world_->Chance(0.2) ? fmt::format("service:{}", service)
                                         : fmt::format("agent:{},service:{}", agent, service));
  // Delays go beside each other on a target, failing connects contradict each other.
  if (world_->Chance(0.5)) {
    request.set_fault_type("NETWORK_LATENCY");
    (*request.mutable_parameters())["delay_ms"] = "5";
  } else {
    request.set_fault_type("CONNECT_FAIL");
  }
  (*request.mutable_parameters())["direction"] = world_->Chance(0.5) ? "egress" : "ingress";
  request.mutable_duration()->set_seconds(static_cast<int64_t>(world_->Between(1, 4)));
  request.set_seed(7);
  return request;
}

void Client::Start(const std::string& request_id, const chaos::v1::StartExperimentRequest& request,
                   int repeats) {
  const size_t op =
      shared_->history->Begin(world_->now_ns(), history::Kind::kStart, request_id, name_);
  Call<chaos::v1::StartExperimentResponse>(
      [request](Controller& controller, const server::CallContext& context, auto answer) {
        controller.experiments().Start(context, request, answer);
      },
      [this, op, request_id, request,
       repeats](const StatusOr<chaos::v1::StartExperimentResponse>& response) {
        world_->Note("start {} -> {} {}", request_id,
                     response.ok() ? response->experiment_id() : "", Outcome(response.status()));
        if (response.ok()) {
          shared_->history->Return(op, world_->now_ns(), response->experiment());
          shared_->known.push_back({request_id, response->experiment_id()});
        } else if (IsRefusal(response.status())) {
          shared_->history->ReturnNothing(op, world_->now_ns());
        } else if (repeats > 0) {
          return Start(request_id, request, repeats - 1);
        }
        // Asked again although it was answered: the same experiment.
        if (response.ok() && world_->Chance(0.1)) return Start(request_id, request, 0);
        Next();
      });
}

void Client::Stop(const ClientWorld::Known& experiment) {
  const size_t op =
      shared_->history->Begin(world_->now_ns(), history::Kind::kStop, experiment.request_id, name_);
  chaos::v1::StopExperimentRequest request;
  request.set_experiment_id(experiment.experiment_id);
  if (world_->Chance(0.3)) request.mutable_wait()->set_nanos(500'000'000);
  Call<chaos::v1::StopExperimentResponse>(
      [request](Controller& controller, const server::CallContext& context, auto answer) {
        controller.experiments().Stop(context, request, answer);
      },
      [this, op, experiment](const StatusOr<chaos::v1::StopExperimentResponse>& response) {
        world_->Note("stop {} -> {}", experiment.experiment_id, Outcome(response.status()));
        if (response.ok()) {
          shared_->history->Return(op, world_->now_ns(), response->experiments(0));
        } else if (IsRefusal(response.status())) {
          shared_->history->ReturnNothing(op, world_->now_ns());
        }
        Next();
      });
}

void Client::Get(const ClientWorld::Known& experiment) {
  const size_t op =
      shared_->history->Begin(world_->now_ns(), history::Kind::kRead, experiment.request_id, name_);
  chaos::v1::GetExperimentRequest request;
  request.set_experiment_id(experiment.experiment_id);
  Call<chaos::v1::GetExperimentResponse>(
      [request](Controller& controller, const server::CallContext& context, auto answer) {
        controller.reads().GetExperiment(context, request, answer);
      },
      [this, op](const StatusOr<chaos::v1::GetExperimentResponse>& response) {
        if (response.ok()) {
          shared_->history->Return(op, world_->now_ns(), response->experiment());
        } else if (IsRefusal(response.status())) {
          shared_->history->ReturnNothing(op, world_->now_ns());
        }
        Next();
      });
}

void Client::List() {
  const uint64_t called_ns = world_->now_ns();
  chaos::v1::ListExperimentsRequest request;
  request.set_page_size(1'000);
  Call<chaos::v1::ListExperimentsResponse>(
      [request](Controller& controller, const server::CallContext& context, auto answer) {
        controller.reads().ListExperiments(context, request, answer);
      },
      [this, called_ns](const StatusOr<chaos::v1::ListExperimentsResponse>& response) {
        if (response.ok()) {
          shared_->history->List(called_ns, world_->now_ns(), *response, name_);
        }
        Next();
      });
}

}  // namespace faultline::sim
