#include "faults/network/local_ports_spec.h"

#include <algorithm>

#include "faults/network/filter_spec.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;

// Of a filter of requests. With both directions a peer's port tells: nobody asks from the port of a
// service.
bool MeansOwnRequests(const v1::TrafficFilter& filter) {
  if (!filter.local_port().empty() || filter.direction() == v1::DIRECTION_INGRESS) return false;
  return filter.direction() != v1::DIRECTION_BOTH || AreOfServices(filter.peer_port());
}

}  // namespace

bool AreOfServices(const google::protobuf::RepeatedPtrField<std::string>& ports) {
  constexpr uint16_t kFirstOfWhoAsks = 32'768;
  return !ports.empty() && std::all_of(ports.begin(), ports.end(), [](const std::string& text) {
    const auto range = ParsePortRange(text);
    return range.ok() && range->last < kFirstOfWhoAsks;
  });
}

bool AsksOthers(const v1::ConnectFail& fault) { return MeansOwnRequests(fault.filter()); }
bool AsksOthers(const v1::DnsFault& fault) { return MeansOwnRequests(fault.filter()); }
bool AsksOthers(const v1::HttpFault& fault) { return MeansOwnRequests(fault.filter()); }

v1::TrafficFilter FilterOf(const v1::DnsFault& fault, const chaos::v1::Target& target) {
  constexpr char kDnsPort[] = "53";
  v1::TrafficFilter filter = fault.filter();
  if (filter.direction() != v1::DIRECTION_INGRESS) {
    if (filter.peer_port().empty()) filter.add_peer_port(kDnsPort);
  } else if (filter.local_port().empty() && target.ports().empty()) {
    filter.add_local_port(kDnsPort);
  }
  return filter;
}

std::vector<std::string> PortsOr(const google::protobuf::RepeatedPtrField<std::string>& given,
                                 const chaos::v1::Target& target) {
  if (!given.empty()) return {given.begin(), given.end()};
  std::vector<std::string> ports;
  for (const uint32_t port : target.ports()) ports.push_back(std::to_string(port));
  return ports;
}

template <>
std::vector<std::string> LocalPorts<v1::DnsFault>(const google::protobuf::Message& message,
                                                  const chaos::v1::Target& target) {
  const auto& fault = static_cast<const v1::DnsFault&>(message);
  if (AsksOthers(fault)) return {};
  return PortsOr(FilterOf(fault, target).local_port(), target);
}

}  // namespace faultline::network
