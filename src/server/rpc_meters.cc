#include "server/rpc_meters.h"

#include <google/protobuf/descriptor.h>

#include "base/clock.h"

namespace faultline::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::ServerRpcInfo;

constexpr std::array<const char*, RpcMeters::kCodes> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

// Lives as long as its call.
class CallMeter : public grpc::experimental::Interceptor {
 public:
  explicit CallMeter(RpcMeters::Method* method) : method_(method), begun_ns_(MonotonicNowNs()) {
    method_->open.Add(1);
  }
  ~CallMeter() override {
    method_->open.Add(-1);
    method_->ended[code_].Add();
    if (!method_->streaming) method_->duration.Record(MonotonicNowNs() - begun_ns_);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const auto code = static_cast<size_t>(methods->GetSendStatus().error_code());
      code_ = code < RpcMeters::kCodes ? code : size_t{grpc::StatusCode::UNKNOWN};
    }
    methods->Proceed();
  }

 private:
  RpcMeters::Method* const method_;
  const uint64_t begun_ns_;
  // What it is when nobody came to say more.
  size_t code_ = grpc::StatusCode::CANCELLED;
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(RpcMeters* meters) : meters_(meters) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(ServerRpcInfo* call) override {
    // Nothing stands in the way of what members say to one another; raft::Meters count that.
    if (std::string_view(call->method()).starts_with("/raft.v1.")) return nullptr;
    return new CallMeter(&meters_->Of(call->method()));  // gRPC's to delete
  }

 private:
  RpcMeters* const meters_;
};

}  // namespace

std::vector<std::string> ServedServices() {
  return {"chaos.v1.ChaosController", "chaos.v1.AgentService", "chaos.v1.ClusterService",
          "server.v1.PeerService", "server.v1.ClusterPeerService"};
}

RpcMeters::RpcMeters(const std::vector<std::string>& services) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& service : services) {
    const auto* found = pool->FindServiceByName(service);
    if (found == nullptr) continue;
    for (int i = 0; i < found->method_count(); ++i) {
      const auto* method = found->method(i);
      Method& meter = methods_["/" + service + "/" + method->name()];
      meter.service = service;
      meter.name = method->name();
      meter.streaming = method->client_streaming() || method->server_streaming();
    }
  }
  Method& other = methods_[""];
  other.service = other.name = "other";
  other.streaming = true;
}

RpcMeters::Method& RpcMeters::Of(std::string_view path) {
  const auto found = methods_.find(path);
  return found == methods_.end() ? methods_.find("")->second : found->second;
}

const char* CodeName(size_t code) { return kCodeNames[code]; }

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MeterInterceptor(
    RpcMeters* meters) {
  return std::make_unique<Factory>(meters);
}

}  // namespace faultline::server
