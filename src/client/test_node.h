// For tests: a real gRPC server on loopback, inside the test's process.
#pragma once

#include <fmt/format.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "chaos/v1/chaos.grpc.pb.h"
#include "rpc/keepalive.h"

namespace faultline::client {

// How a completed experiment is told to have ended.
inline chaos::v1::MetricUpdate EndOf(const std::string& experiment_id) {
  chaos::v1::MetricUpdate update;
  update.set_experiment_id(experiment_id);
  auto& end = *update.mutable_end();
  end.set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  end.set_phase("stopped");
  end.set_reason("enough");
  end.mutable_ended_at()->set_seconds(100);
  end.mutable_ended_at()->set_nanos(7);
  return update;
}

// A node whose answers are given by the test.
class FakeNode : public chaos::v1::ChaosController::Service {
 public:
  explicit FakeNode(const std::string& address = "127.0.0.1:0",
                    const std::shared_ptr<grpc::ServerCredentials>& credentials =
                        grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, credentials, &port_);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               rpc::kLeastPingIntervalMs);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeNode() override { Kill(); }
  void Kill() {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  grpc::Status StartExperiment(grpc::ServerContext*,
                               const chaos::v1::StartExperimentRequest* request,
                               chaos::v1::StartExperimentResponse* response) override {
    request_ids.push_back(request->request_id());
    response->set_experiment_id("x");
    return start_status;
  }
  grpc::Status ListExperiments(grpc::ServerContext*, const chaos::v1::ListExperimentsRequest*,
                               chaos::v1::ListExperimentsResponse* response) override {
    ++lists;
    response->set_revision(7);
    return list_status;
  }
  grpc::Status GetExperiment(grpc::ServerContext*, const chaos::v1::GetExperimentRequest* request,
                             chaos::v1::GetExperimentResponse* response) override {
    *response->mutable_experiment() = experiment;
    response->mutable_experiment()->set_experiment_id(request->experiment_id());
    return grpc::Status::OK;
  }
  grpc::Status SubscribeToMetrics(grpc::ServerContext* context,
                                  const chaos::v1::SubscribeToMetricsRequest* request,
                                  grpc::ServerWriter<chaos::v1::MetricUpdate>* writer) override {
    const Open open(streams);
    const uint64_t after = request->resume_size() > 0 ? request->resume(0).sequence() : 0;
    for (uint64_t sequence = std::max(after, forgotten) + 1; sequence <= last_sequence;
         ++sequence) {
      chaos::v1::MetricUpdate update = measured;
      update.mutable_position()->set_agent_id("a");
      update.mutable_position()->set_incarnation(1);
      update.mutable_position()->set_sequence(sequence);
      writer->Write(update);
    }
    if (end) writer->Write(*end);
    if (ends_stream) return grpc::Status::OK;
    while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return grpc::Status::CANCELLED;
  }

  grpc::Status WatchExperiments(
      grpc::ServerContext* context, const chaos::v1::WatchExperimentsRequest* request,
      grpc::ServerWriter<chaos::v1::WatchExperimentsResponse>* writer) override {
    const Open open(streams);
    if (request->after_revision() < 7) {
      chaos::v1::WatchExperimentsResponse response;
      response.set_revision(7);
      writer->Write(response);
    }
    while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return grpc::Status::CANCELLED;
  }

  // Set before the first call.
  grpc::Status start_status, list_status;
  chaos::v1::Experiment experiment;  // whatever id is asked for
  std::vector<std::string> request_ids;
  std::atomic<int> lists{0};
  std::atomic<uint64_t> last_sequence{0};
  chaos::v1::MetricUpdate measured;  // what each update says besides its position
  uint64_t forgotten = 0;            // up to here nothing is kept; set before the first call
  std::atomic<bool> ends_stream{false};
  std::optional<chaos::v1::MetricUpdate> end;  // told after those; set before the first call
  // Streams that this node serves.
  std::atomic<int> streams{0};

 private:
  struct Open {
    explicit Open(std::atomic<int>& open_streams) : count(open_streams) { ++count; }
    ~Open() { --count; }
    std::atomic<int>& count;
  };
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace faultline::client
