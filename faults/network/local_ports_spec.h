// Which ports of its target a fault is about. Pure.
//
// The ports that a target names are those on which it serves, and a fault is about these unless it
// is about what the target asks of others, which leaves by ports that the system chooses. Of the
// kinds that mean requests (CONNECT_FAIL, DNS_FAULT, HTTP_FAULT) those on egress are the target's
// own; of any other kind `peer_port` without `local_port` names the service that it asks, unless
// it is of the ports from which systems ask.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "chaos/v1/experiment.pb.h"
#include "network/v1/answers.pb.h"
#include "network/v1/filter.pb.h"

namespace faultline::network {

// Whether these are given, and all below those that systems choose for who asks (from 32768 on, as
// Linux does).
bool AreOfServices(const google::protobuf::RepeatedPtrField<std::string>& ports);

// Whether the fault is about what its target asks of others: the target's ports do not narrow it.
template <typename Parameters>
bool AsksOthers(const Parameters& fault) {
  return fault.filter().local_port().empty() && AreOfServices(fault.filter().peer_port());
}
bool AsksOthers(const ::network::v1::ConnectFail& fault);
bool AsksOthers(const ::network::v1::DnsFault& fault);
bool AsksOthers(const ::network::v1::HttpFault& fault);

// What a DNS fault says of packets, with port 53 where neither it nor the target says another.
::network::v1::TrafficFilter FilterOf(const ::network::v1::DnsFault& fault,
                                      const chaos::v1::Target& target);

// Those given, else the target's own.
std::vector<std::string> PortsOr(const google::protobuf::RepeatedPtrField<std::string>& given,
                                 const chaos::v1::Target& target);

// faults::Stacking::local_ports of the kinds.
template <typename Parameters>
std::vector<std::string> LocalPorts(const google::protobuf::Message& message,
                                    const chaos::v1::Target& target) {
  const auto& fault = static_cast<const Parameters&>(message);
  if (AsksOthers(fault)) return {};
  return PortsOr(fault.filter().local_port(), target);
}
template <>
std::vector<std::string> LocalPorts<::network::v1::DnsFault>(
    const google::protobuf::Message& message, const chaos::v1::Target& target);

}  // namespace faultline::network
