// Calls by method and code, with how long they took. Includes gRPC: for the .cc files of services
// and listeners only.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/meter.h"

namespace faultline::server {

// Every method that a node serves; the set never changes, so that counting takes no lock. Any
// thread; outlives its listeners.
class RpcMeters {
 public:
  static constexpr size_t kCodes = 17;  // grpc::StatusCode, from OK to UNAUTHENTICATED

  struct Method {
    std::string service;  // "chaos.v1.ChaosController"
    std::string name;     // "StartExperiment"
    bool streaming = false;
    std::array<Counter, kCodes> ended;  // by code
    DurationMeter duration;             // of calls that are no streams
    Level open;                         // under way
  };

  // `services` are full names of linked services. Methods of others count as one, "other".
  explicit RpcMeters(const std::vector<std::string>& services);

  // `path` as gRPC gives it: "/chaos.v1.ChaosController/StartExperiment".
  Method& Of(std::string_view path);
  const std::map<std::string, Method, std::less<>>& methods() const { return methods_; }

 private:
  std::map<std::string, Method, std::less<>> methods_;  // by path
};

// Full names of those that a controller serves.
std::vector<std::string> ServedServices();

// "NOT_FOUND" and the like.
const char* CodeName(size_t code);

// For ServerBuilder::experimental().SetInterceptorCreators.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MeterInterceptor(
    RpcMeters* meters);

}  // namespace faultline::server
