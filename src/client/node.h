// Internal: the nodes' channels, and what both calls and streams need of them. Includes gRPC: only
// for the .cc files of this folder.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "chaos/v1/chaos.grpc.pb.h"
#include "chaos/v1/cluster.grpc.pb.h"
#include "client/client.h"
#include "client/retry.h"

namespace faultline::client {

struct Node {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<chaos::v1::ChaosController::Stub> stub;
  std::unique_ptr<chaos::v1::ClusterService::Stub> cluster_stub;
};

StatusOr<std::vector<Node>> MakeNodes(const Options& options);

struct Client::Impl {
  std::vector<Node> nodes;
  std::vector<std::string> addresses;
  std::chrono::milliseconds timeout;
  bool tls = false;
  std::atomic<size_t> preferred{0};  // node that answered last
};

// What the failure of an attempt at `node` means for the next.
AttemptFailure Judge(const Node& node, const grpc::Status& status);

// The error for a call that is given up: `status` is the last attempt's that reached a node, or the
// last one's. With TLS one that reached none says why: it may be the certificates.
Status FinalError(const grpc::Status& status, bool reached,
                  const std::vector<std::string>& addresses, std::chrono::milliseconds timeout,
                  bool tls);

// Waits for the pause before the next attempt, less when `next` becomes reachable meanwhile. False
// when cancelled (`token` may be null). gRPC makes its connections only on the time of threads that
// wait inside it: sleeping instead would not notice that a node is back.
bool PauseBefore(const Node& next, std::chrono::nanoseconds pause,
                 const std::shared_ptr<Cancellation>& token);

}  // namespace faultline::client
