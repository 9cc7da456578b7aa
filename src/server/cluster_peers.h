// Calls to nodes by their peer address, whether they are members or not: for what is about
// membership itself.
//
// Threads: every method may be called from any thread; answers come on gRPC's threads.
#pragma once

#include <memory>
#include <string>

#include "rpc/endpoint.h"
#include "server/call.h"
#include "server/v1/cluster.pb.h"

namespace faultline::server {

namespace v1 = ::server::v1;

class ClusterPeers {
 public:
  static std::unique_ptr<ClusterPeers> Make(const rpc::TlsFiles& tls);
  virtual ~ClusterPeers() = default;

  // Each answers once, by `deadline_ns` (CLOCK_MONOTONIC) at the latest. UNAVAILABLE when the
  // address cannot be reached, with gRPC's reason: a name that does not resolve, a refused
  // connection; INVALID_ARGUMENT when these TLS files do not do for it.
  virtual void Describe(const std::string& address, const v1::DescribeRequest& request,
                        uint64_t deadline_ns, Done<v1::DescribeResponse> done) = 0;
  virtual void Change(const std::string& address, const v1::ChangeRequest& request,
                      uint64_t deadline_ns, std::function<void(Status)> done) = 0;

  // Cancels what is under way and waits for it; afterwards every call fails at once.
  virtual void Shutdown() = 0;
};

}  // namespace faultline::server
