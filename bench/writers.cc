#include "writers.h"

#include <grpcpp/channel.h>

#include <random>

#include "base/clock.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "etcd/rpc.grpc.pb.h"
#include "idle_agents.h"
#include "rpc/credentials.h"
#include "rpc/status.h"
#include "server/validation.h"

namespace faultline::bench {
namespace {

constexpr std::chrono::seconds kCall{20};
constexpr std::chrono::seconds kConnect{20};

std::atomic<uint64_t> next_id{1};

chaos::v1::StartExperimentRequest RequestOn(int target) {
  chaos::v1::StartExperimentRequest request;
  request.set_target(IdleAgents::Selector(target));
  request.set_request_id(fmt::format("bench-{:016x}", next_id++));
  request.set_fault_type("NETWORK_LATENCY");
  (*request.mutable_parameters())["delay_ms"] = "100";
  (*request.mutable_parameters())["jitter_ms"] = "20";
  request.mutable_duration()->set_seconds(3'600);
  return request;
}

Status WaitForConnection(grpc::Channel& channel) {
  if (channel.WaitForConnected(std::chrono::system_clock::now() + kConnect))
    return absl::OkStatus();
  return MakeError(StatusCode::kUnavailable, "a client cannot connect");
}

// One call after another over one connection; Call begins one.
template <typename Request, typename Response>
class UnaryClient : public LoadClient {
 public:
  explicit UnaryClient(std::shared_ptr<grpc::Channel> channel) : channel_(std::move(channel)) {}
  Status Prepare() override { return WaitForConnection(*channel_); }

  void Write(Done done) override {
    struct State {
      grpc::ClientContext context;
      Request request;
      Response response;
    };
    rpc::KeepCallbackQueue(channel_);
    auto state = std::make_shared<State>();
    state->context.set_deadline(std::chrono::system_clock::now() + kCall);
    state->request = Next();
    Begin(&state->context, &state->request, &state->response,
          [state, done = std::move(done)](const grpc::Status& status) {
            done(status.ok() ? absl::OkStatus() : rpc::FromGrpc(status));
          });
  }

 protected:
  virtual Request Next() = 0;
  virtual void Begin(grpc::ClientContext* context, const Request* request, Response* response,
                     std::function<void(grpc::Status)> done) = 0;
  const std::shared_ptr<grpc::Channel> channel_;
};

class StartClient final
    : public UnaryClient<chaos::v1::StartExperimentRequest, chaos::v1::StartExperimentResponse> {
 public:
  StartClient(std::shared_ptr<grpc::Channel> channel, std::atomic<int>* next_target)
      : UnaryClient(std::move(channel)), stub_(channel_), next_target_(next_target) {}

 private:
  chaos::v1::StartExperimentRequest Next() override { return RequestOn((*next_target_)++); }
  void Begin(grpc::ClientContext* context, const chaos::v1::StartExperimentRequest* request,
             chaos::v1::StartExperimentResponse* response,
             std::function<void(grpc::Status)> done) override {
    stub_.async()->StartExperiment(context, request, response, std::move(done));
  }

  chaos::v1::ChaosController::Stub stub_;
  std::atomic<int>* const next_target_;
};

class StopAllClient final
    : public UnaryClient<chaos::v1::StopExperimentRequest, chaos::v1::StopExperimentResponse> {
 public:
  explicit StopAllClient(std::shared_ptr<grpc::Channel> channel)
      : UnaryClient(std::move(channel)), stub_(channel_) {}

 private:
  chaos::v1::StopExperimentRequest Next() override {
    chaos::v1::StopExperimentRequest request;
    request.set_all(true);
    return request;
  }
  void Begin(grpc::ClientContext* context, const chaos::v1::StopExperimentRequest* request,
             chaos::v1::StopExperimentResponse* response,
             std::function<void(grpc::Status)> done) override {
    stub_.async()->StopExperiment(context, request, response, std::move(done));
  }

  chaos::v1::ChaosController::Stub stub_;
};

class PutClient final : public UnaryClient<etcdserverpb::PutRequest, etcdserverpb::PutResponse> {
 public:
  explicit PutClient(std::shared_ptr<grpc::Channel> channel)
      : UnaryClient(std::move(channel)), stub_(channel_), value_(StoredCommandBytes(), 'v') {}

 private:
  etcdserverpb::PutRequest Next() override {
    etcdserverpb::PutRequest request;
    request.set_key(fmt::format("bench-{:016x}", next_id++));
    request.set_value(value_);
    return request;
  }
  void Begin(grpc::ClientContext* context, const etcdserverpb::PutRequest* request,
             etcdserverpb::PutResponse* response, std::function<void(grpc::Status)> done) override {
    stub_.async()->Put(context, request, response, std::move(done));
  }

  etcdserverpb::KV::Stub stub_;
  const std::string value_;
};

}  // namespace

control::v1::Command StartCommand(int target) {
  auto create = server::ToCommand(RequestOn(target));
  control::v1::Command command;
  command.set_time_unix_ms(UnixNowMs());
  *command.mutable_create_experiment() = *std::move(create);
  std::mt19937_64 seed(static_cast<uint64_t>(target));
  command.mutable_create_experiment()->set_seed(1ULL << 52 | seed() >> 12);
  command.mutable_create_experiment()->set_created_by("local");
  command.mutable_create_experiment()->set_lease_ms(10'000);
  return command;
}

size_t StoredCommandBytes() { return StartCommand(0).ByteSizeLong(); }

std::vector<std::unique_ptr<LoadClient>> StartClients(int count, const std::string& address,
                                                      const rpc::TlsFiles& tls,
                                                      std::atomic<int>* next_target) {
  std::vector<std::unique_ptr<LoadClient>> clients;
  for (int i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<StartClient>(Connect(address, tls), next_target));
  }
  return clients;
}

std::unique_ptr<LoadClient> StopClient(const std::string& address, const rpc::TlsFiles& tls) {
  return std::make_unique<StopAllClient>(Connect(address, tls));
}

std::vector<std::unique_ptr<LoadClient>> PutClients(int count, const std::string& address,
                                                    const rpc::TlsFiles& tls) {
  std::vector<std::unique_ptr<LoadClient>> clients;
  for (int i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<PutClient>(Connect(address, tls)));
  }
  return clients;
}

}  // namespace faultline::bench
