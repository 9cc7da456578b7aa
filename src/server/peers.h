// Calls to the other members of the cluster.
//
// Threads: every method may be called from any thread; answers come on gRPC's threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/node.h"
#include "rpc/endpoint.h"
#include "server/agent_set.h"
#include "server/call.h"
#include "server/v1/peer.pb.h"

namespace faultline::server {

namespace v1 = ::server::v1;

class ControlPlane;

class Peers {
 public:
  // INVALID_ARGUMENT when a member cannot be reached with these TLS files (rpc/credentials.h).
  // Calls name the cluster of `plane`, which outlives the result.
  static StatusOr<std::unique_ptr<Peers>> Make(const std::vector<raft::Member>& members,
                                               const rpc::TlsFiles& tls, const ControlPlane* plane);
  virtual ~Peers() = default;

  // The other members from now on. Calls under way go on. A member that cannot be reached with the
  // TLS files is left out, and logged.
  virtual void SetMembers(const std::vector<raft::Member>& members) = 0;

  // Each answers once, by `deadline_ns` (CLOCK_MONOTONIC) at the latest. UNAVAILABLE for a node
  // that is no member.
  virtual void Forward(uint64_t node_id, const v1::ForwardRequest& request, uint64_t deadline_ns,
                       Done<v1::ForwardResponse> done) = 0;
  virtual void ReadIndex(uint64_t node_id, const v1::ReadIndexRequest& request,
                         uint64_t deadline_ns, Done<v1::ReadIndexResponse> done) = 0;
  virtual void ReportSessions(uint64_t node_id, const v1::ReportSessionsRequest& request,
                              uint64_t deadline_ns, Done<v1::ReportSessionsResponse> done) = 0;

  // A stream of another node's batches; ends when destroyed (which waits for the last callback).
  class Relay {
   public:
    virtual ~Relay() = default;
    // Asks for these agents' batches from now on: one at least.
    virtual void Want(const AgentSet& agents) = 0;
  };
  // Batches of `agents`, one at least, until it is told otherwise. `on_end` runs once, when the
  // stream broke by itself. Null for a node that is no member.
  virtual std::unique_ptr<Relay> RelayMetrics(
      uint64_t node_id, uint64_t own_id, const AgentSet& agents,
      std::function<void(const chaos::v1::MetricsBatch&)> on_batch,
      std::function<void()> on_end) = 0;

  // Cancels what is under way and waits for it; afterwards every call fails at once.
  virtual void Shutdown() = 0;
};

}  // namespace faultline::server
