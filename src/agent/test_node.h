// For tests: a controller node's side of AgentService.Connect, on a loopback port.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "chaos/v1/agent.grpc.pb.h"
#include "rpc/keepalive.h"

namespace faultline::agent {

// Welcomes every agent, says what it is told to, and keeps what it hears.
class TestNode : public chaos::v1::AgentService::Service {
 public:
  using Request = chaos::v1::ConnectRequest;
  using Response = chaos::v1::ConnectResponse;

  explicit TestNode(uint64_t id, bool welcomes = true) : id_(id), welcomes_(welcomes) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               rpc::kLeastPingIntervalMs);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~TestNode() override { Kill(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void Kill() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  // Welcomes agents from now on: until then they go on to other nodes, which would otherwise depend
  // on how fast this machine is.
  void BeginToWelcome() {
    const std::lock_guard lock(mutex_);
    welcomes_ = true;
  }

  // And no more from now on: whoever was welcomed stays.
  void CeaseToWelcome() {
    const std::lock_guard lock(mutex_);
    welcomes_ = false;
  }

  // Reads no further than the next message while the result is held.
  std::unique_lock<std::mutex> Pause() { return std::unique_lock(mutex_); }

  // Answers renewals by a lease of so many seconds at this version; 0: not at all.
  void GrantLeases(int64_t lease_s, const chaos::v1::StateVersion& version) {
    const std::lock_guard lock(mutex_);
    lease_s_ = lease_s;
    version_ = version;
  }
  // To the agent that is connected.
  void Say(const Response& response) {
    const std::lock_guard lock(mutex_);
    if (stream_ != nullptr) stream_->Write(response);
  }
  // The next message heard for which `wanted` is true; those before it are dropped.
  template <typename Wanted>
  Request Hear(Wanted wanted) {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return !heard_.empty(); });
      Request request = std::move(heard_.front());
      heard_.pop_front();
      if (wanted(request)) return request;
    }
  }
  Request Hear() {
    return Hear([](const Request&) { return true; });
  }

  grpc::Status Connect(grpc::ServerContext*,
                       grpc::ServerReaderWriter<Response, Request>* stream) override {
    Request request;
    while (stream->Read(&request)) {
      const std::lock_guard lock(mutex_);
      Response response;
      if (request.has_hello() && welcomes_) {
        stream_ = stream;
        response.mutable_welcome()->set_node_id(id_);
        stream->Write(response);
      } else if (request.has_renewal() && lease_s_ > 0) {
        auto* grant = response.mutable_grant();
        *grant->mutable_version() = version_;
        grant->set_sent_boottime_ns(request.renewal().sent_boottime_ns());
        grant->mutable_lease()->set_seconds(lease_s_);
        stream->Write(response);
      }
      heard_.push_back(std::move(request));
      changed_.notify_all();
    }
    const std::lock_guard lock(mutex_);
    if (stream_ == stream) stream_ = nullptr;
    return grpc::Status::OK;
  }

 private:
  const uint64_t id_;
  int port_ = 0;
  std::mutex mutex_;
  bool welcomes_;
  std::condition_variable changed_;
  std::deque<Request> heard_;
  grpc::ServerReaderWriter<Response, Request>* stream_ = nullptr;
  int64_t lease_s_ = 0;
  chaos::v1::StateVersion version_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace faultline::agent
