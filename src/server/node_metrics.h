// What a controller counts, as Prometheus families.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>

#include "http/exposition.h"
#include "raft/node.h"
#include "server/rpc_meters.h"
#include "server/services.h"

namespace faultline::server {

// An agent that has been disconnected for so long counts as gone, so that alerts on the others come
// to an end before the control plane forgets it.
inline constexpr int64_t kAgentGoneAfterMs = 3'600 * 1'000;

// An agent is one of the three.
struct AgentCounts {
  size_t connected = 0, disconnected = 0, gone = 0;
  size_t targets = 0;  // of the connected ones
};
AgentCounts CountAgents(const control::StateData& state, int64_t now_unix_ms);

// For what a connection of another node, or a message on it, is refused, and NOT_A_MEMBER beside
// them, which the raft node counts.
inline constexpr std::array kRefusals = {
    "ADDRESS_NOT_RESOLVED", "BAD_CHECKSUM",      "DUPLICATE_ID",  "FOR_ANOTHER_NODE",
    "MALFORMED_MESSAGE",    "MESSAGE_TOO_LARGE", "OTHER_CLUSTER", "OWN_ADDRESS",
    "PEER_CERTIFICATE",     "UNKNOWN_VERSION"};
// With 0 for each reason that has not occurred: no alert sees the growth of a counter that begins
// with 1.
std::map<std::string, uint64_t> WithAllRefusals(std::map<std::string, uint64_t> refused);

class NodeMetrics {
 public:
  // All outlive the object.
  NodeMetrics(const Parts& parts, raft::Node* node, const RpcMeters* rpcs,
              std::function<std::map<std::string, uint64_t>()> refused_peers)
      : parts_(parts), node_(node), rpcs_(rpcs), refused_peers_(std::move(refused_peers)) {}

  // `done` gets the present values, from the raft node's strand.
  void Collect(std::function<void(http::Families)> done) const;

 private:
  void AddState(http::Families& families) const;
  void AddRaft(http::Families& families) const;
  void AddView(http::Families& families, const raft::View& view,
               const raft::GroupState& group) const;
  void AddLimits(http::Families& families) const;
  void AddStreams(http::Families& families) const;
  void AddCalls(http::Families& families) const;
  void AddWebhooks(http::Families& families) const;

  const Parts parts_;
  raft::Node* const node_;
  const RpcMeters* const rpcs_;
  const std::function<std::map<std::string, uint64_t>()> refused_peers_;
};

}  // namespace faultline::server
