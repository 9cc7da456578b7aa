// How network faults of one target go together. Pure.
//
// A packet meets its faults in this order, whichever began first: losses in the kernel, then in the
// lane slower links, copies, flipped bits, holding back, delays, and answers last (the alternatives
// of LaneRule stand in the same order).
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "faults/registry.h"
#include "network/v1/answers.pb.h"
#include "network/v1/filter.pb.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {

enum Place : int {
  kLose,
  kLimitRate,
  kDuplicate,
  kCorrupt,
  kHoldBack,
  kDelay,
  kReset,
  kRefuse,
  kAnswerHttp,
  kAnswerDns,
};

// "network/egress", "network/ingress" or both.
std::vector<std::string> DirectionsOf(const ::network::v1::TrafficFilter& filter);
std::vector<std::string> BothDirections(const google::protobuf::Message& message);
template <typename Parameters>
std::vector<std::string> ActsOn(const google::protobuf::Message& message) {
  return DirectionsOf(static_cast<const Parameters&>(message).filter());
}

// Two faults that want different answers to the same packets contradict each other: what of the
// parameters says which packets these are is what a fault occupies, in each direction. Filters
// that overlap without being the same are none: the fault armed first answers.
std::vector<std::string> OccupiesConnects(const google::protobuf::Message& message);
std::vector<std::string> OccupiesNames(const google::protobuf::Message& message);
std::vector<std::string> OccupiesRequests(const google::protobuf::Message& message);

std::vector<faults::Effect> EffectsOfLatency(const google::protobuf::Message& message);
std::vector<faults::Effect> EffectsOfLoss(const google::protobuf::Message& message);
std::vector<faults::Effect> EffectsOfLosingAll(const google::protobuf::Message& message);
std::vector<faults::Effect> EffectsOfBandwidth(const google::protobuf::Message& message);
std::vector<faults::Effect> EffectsOfDuplicate(const google::protobuf::Message& message);
std::vector<faults::Effect> EffectsOfCorrupt(const google::protobuf::Message& message);
std::vector<faults::Effect> EffectsOfReorder(const google::protobuf::Message& message);

}  // namespace faultline::network
