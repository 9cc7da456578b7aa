// What each kind does to its packets: one Plan for each, in the file of its family (plan_*.cc).
// rule.cc has their table.
#pragma once

#include <optional>
#include <set>

#include "chaos/v1/metrics.pb.h"
#include "faults/network/datapath.h"
#include "faults/network/filter_spec.h"
#include "faults/network/lane_rule.h"
#include "network/v1/answers.pb.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {

// Which counters of the API tell on how many packets a rule acted; nullptr: none.
struct ActedAs {
  using Setter = void (chaos::v1::FaultCounters::*)(uint64_t);
  Setter in_kernel = nullptr;  // fl_counters::acted
  Setter in_lane = nullptr;    // fl_counters::lane_acted
};

// What the kind concerns at all, beside the fault's own filter.
struct Concern {
  std::set<unsigned> protocols{};  // FL_PROTO_; empty is any
  TcpFlags flags{};
  bool payload = false;  // only packets that carry some
};

// What a kind does to the packets that its filter matches.
struct ActionPlan {
  Concern only;
  uint64_t action = FL_ACT_LOSE;  // FL_ACT_
  fl_choice choice{};             // of the matched packets
  std::optional<LaneRule> lane;   // with FL_ACT_LANE: what is done there
  uint64_t hold_ns = 0;           // fl_rule::hold_ns
  ActedAs acted;
};

ActionPlan Plan(const ::network::v1::NetworkLatency& latency, uint64_t seed);
ActionPlan Plan(const ::network::v1::NetworkLoss& loss, uint64_t seed);
ActionPlan Plan(const ::network::v1::NetworkBandwidth& bandwidth, uint64_t seed);
ActionPlan Plan(const ::network::v1::NetworkBlackhole& blackhole, uint64_t seed);
ActionPlan Plan(const ::network::v1::NetworkPartition& partition, uint64_t seed);
ActionPlan Plan(const ::network::v1::NetworkDuplicate& duplicate, uint64_t seed);
ActionPlan Plan(const ::network::v1::NetworkCorrupt& corrupt, uint64_t seed);
ActionPlan Plan(const ::network::v1::NetworkReorder& reorder, uint64_t seed);
ActionPlan Plan(const ::network::v1::TcpReset& reset, uint64_t seed);
ActionPlan Plan(const ::network::v1::ConnectFail& fail, uint64_t seed);
ActionPlan Plan(const ::network::v1::DnsFault& fault, uint64_t seed);
ActionPlan Plan(const ::network::v1::HttpFault& fault, uint64_t seed);

}  // namespace faultline::network
