#include "faults/network/filter_plan.h"

#include <algorithm>

#include "bpf/cgroup.h"
#include "bpf/netns.h"
#include "faults/network/gateway.h"
#include "faults/network/plan_units.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

constexpr unsigned kMaxCgroupLevel = 15;
StatusOr<Filter::Cgroup> FindCgroup(const std::string& path) {
  FL_ASSIGN_OR_RETURN(const bpf::Cgroup cgroup, bpf::FindCgroup(path));
  if (cgroup.level > kMaxCgroupLevel) {
    return MakeError(StatusCode::kFailedPrecondition, "cgroup '{}': it is nested deeper than {}",
                     path, kMaxCgroupLevel);
  }
  return Filter::Cgroup{cgroup.id, cgroup.level};
}

StatusOr<std::vector<PortRange>> ToRanges(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<PortRange> ranges;
  for (const std::string& text : texts) {
    FL_ASSIGN_OR_RETURN(const PortRange range, ParsePortRange(text));
    ranges.push_back(range);
  }
  return ranges;
}

std::vector<PortRange> ToRanges(const google::protobuf::RepeatedField<uint32_t>& ports) {
  std::vector<PortRange> ranges;
  for (const uint32_t port : ports) {
    ranges.push_back({static_cast<uint16_t>(port), static_cast<uint16_t>(port)});
  }
  return ranges;
}

// Whether the target has each port of the range.
bool Has(const chaos::v1::Target& target, PortRange range) {
  const std::set<uint32_t> ports(target.ports().begin(), target.ports().end());
  const auto within = std::distance(ports.lower_bound(range.first), ports.upper_bound(range.last));
  return within == range.last - range.first + 1;
}

// A target that is all that an interface of the agent's own network carries.
bool IsWholeHost(const chaos::v1::Target& target) {
  return target.netns().empty() && !target.at_host_end() && target.interface() != "lo" &&
         target.cgroup().empty() && target.ports().empty() && target.addresses().empty();
}

// Whether the list leaves anything out: it has items, and none of them is all that there is.
bool Narrows(const google::protobuf::RepeatedPtrField<std::string>& items,
             bool (*is_all)(const std::string& item)) {
  return !items.empty() && std::ranges::none_of(items, is_all);
}

bool IsAllOfAFamily(const std::string& network) {
  const auto cidr = ParseCidr(network);
  return cidr.ok() && cidr->prefix_bits == 0;
}

bool IsAllPorts(const std::string& ports) {
  const auto range = ParsePortRange(ports);
  return range.ok() && *range == PortRange{1, UINT16_MAX};
}

// What leaves nothing out names nothing.
bool NamesNothing(const pb::TrafficFilter& wanted) {
  constexpr double kAll = 100;
  const bool any_protocol =
      wanted.protocol() == pb::PROTOCOL_ANY || wanted.protocol() == pb::PROTOCOL_UNSPECIFIED;
  const bool any_share = (!wanted.has_flow_percent() || wanted.flow_percent() >= kAll) &&
                         (!wanted.has_peer_percent() || wanted.peer_percent() >= kAll);
  const bool any_peer = wanted.peer_cidr().empty() ? wanted.peer_host().empty()
                                                   : !Narrows(wanted.peer_cidr(), IsAllOfAFamily);
  return any_protocol && any_share && any_peer && !Narrows(wanted.local_port(), IsAllPorts) &&
         !Narrows(wanted.peer_port(), IsAllPorts) && wanted.tcp_flags().empty() &&
         !AsksForConnections(wanted) && wanted.dscp().empty() && !wanted.has_payload_prefix();
}

// The default gateways of a target's network, as far as they can be read.
Gateways GatewaysOf(const chaos::v1::Target& target) {
  Gateways found;
  const auto netns = bpf::OpenNetns(target.netns());
  if (!netns.ok()) return found;
  (void)bpf::InNetns(*netns, [&] {
    found = ReadGateways(target.interface());
    return absl::OkStatus();
  });
  return found;
}

// On its way in a packet's cgroup is that of the socket it is for.
Status CheckCgroupIn(const pb::TrafficFilter& wanted, const chaos::v1::Target& target) {
  if (wanted.protocol() != pb::PROTOCOL_ICMP) return absl::OkStatus();
  return MakeError(StatusCode::kFailedPrecondition,
                   "target {} is a cgroup, and ICMP on its way in belongs to no socket: "
                   "direction=egress",
                   target.target_id());
}

// The share that is left out, in 2^-32.
uint64_t LeftOut(bool given, double percent) { return given ? OfTwoTo32(100 - percent) : 0; }

Status AddPrefixes(const google::protobuf::RepeatedPtrField<std::string>& texts,
                   std::vector<Cidr>* prefixes) {
  for (const std::string& text : texts) {
    FL_ASSIGN_OR_RETURN(const Cidr cidr, ParseCidr(text));
    prefixes->push_back(cidr);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<Filter> TargetFilter(const chaos::v1::Target& target) {
  Filter filter;
  filter.egress = filter.ingress = true;
  if (target.ports_size() > 0) filter.ports[FL_LOCAL] = ToRanges(target.ports());
  const Status status = AddPrefixes(target.addresses(), &filter.prefixes[FL_LOCAL]);
  if (!status.ok()) {
    return MakeError(StatusCode::kFailedPrecondition, "target {}: {}", target.target_id(),
                     ToString(status.message()));
  }
  if (!target.cgroup().empty()) {
    FL_ASSIGN_OR_RETURN(filter.cgroup, FindCgroup(target.cgroup()));
  }
  return filter;
}

Status NarrowToFilter(const pb::TrafficFilter& wanted, const chaos::v1::Target& target,
                      Filter* filter) {
  filter->egress = wanted.direction() != pb::DIRECTION_INGRESS;
  filter->ingress =
      wanted.direction() == pb::DIRECTION_INGRESS || wanted.direction() == pb::DIRECTION_BOTH;
  if (filter->cgroup && filter->ingress) FL_RETURN_IF_ERROR(CheckCgroupIn(wanted, target));
  if (IsWholeHost(target) && NamesNothing(wanted) && !wanted.whole_host()) {
    return MakeError(
        StatusCode::kFailedPrecondition,
        "the fault names no filter, and of target {} that is all that {} of this host carries: "
        "add a filter, or whole_host=true",
        target.target_id(), target.interface());
  }
  if (wanted.protocol() == pb::PROTOCOL_ICMP && !target.ports().empty()) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "target {} has ports, and ICMP has none: protocol=icmp needs a target without",
                     target.target_id());
  }
  if (wanted.protocol() == pb::PROTOCOL_TCP) filter->protocols = {FL_PROTO_TCP};
  if (wanted.protocol() == pb::PROTOCOL_UDP) filter->protocols = {FL_PROTO_UDP};
  if (wanted.protocol() == pb::PROTOCOL_ICMP) filter->protocols = {FL_PROTO_ICMP};
  if (!wanted.peer_port().empty()) {
    FL_ASSIGN_OR_RETURN(filter->ports[FL_PEER], ToRanges(wanted.peer_port()));
  }
  if (!wanted.local_port().empty()) {
    FL_ASSIGN_OR_RETURN(filter->ports[FL_LOCAL], ToRanges(wanted.local_port()));
    for (size_t i = 0; !target.ports().empty() && i < filter->ports[FL_LOCAL]->size(); ++i) {
      if (Has(target, (*filter->ports[FL_LOCAL])[i])) continue;
      return MakeError(StatusCode::kFailedPrecondition,
                       "local_port {} is not one of the ports of target {}",
                       wanted.local_port(static_cast<int>(i)), target.target_id());
    }
  }
  FL_RETURN_IF_ERROR(AddPrefixes(wanted.exclude_peer_cidr(), &filter->excluded));
  FL_RETURN_IF_ERROR(AddPrefixes(wanted.peer_cidr(), &filter->prefixes[FL_PEER]));
  if (wanted.include_protected() || !wanted.peer_host().empty()) return absl::OkStatus();
  return CheckPeers(*filter, target, "peer_cidr",
                    fmt::format("{}", fmt::join(wanted.peer_cidr(), ",")));
}

Status CheckPeers(const Filter& filter, const chaos::v1::Target& target, std::string_view parameter,
                  std::string_view value) {
  constexpr int kIpv4Bits = 32, kIpv6Bits = 128;
  const auto& peers = filter.prefixes[FL_PEER];
  const auto is_address = [](const Cidr& peer) {
    return peer.prefix_bits == (peer.ipv6 ? kIpv6Bits : kIpv4Bits);
  };
  if (peers.empty() || !std::ranges::all_of(peers, is_address)) return absl::OkStatus();
  const Gateways gateways = GatewaysOf(target);
  const auto is_protected = [&gateways](const Cidr& peer) {
    return IsMetadataAddress(peer) || IsOneOf(gateways, peer);
  };
  if (!std::ranges::all_of(peers, is_protected)) return absl::OkStatus();
  return MakeError(StatusCode::kFailedPrecondition,
                   "{} '{}' names no peers of target {} but its default gateway or the metadata "
                   "address, which are protected: name others, or include_protected=true",
                   parameter, value, target.target_id());
}

fl_narrow ToNarrow(const pb::TrafficFilter& wanted) {
  fl_narrow narrow{};
  for (const uint32_t point : wanted.dscp()) narrow.dscp |= uint64_t{1} << (point % 64);
  narrow.min_bytes = wanted.min_packet_bytes();
  narrow.max_bytes = wanted.max_packet_bytes();
  TcpFlags flags;
  for (const std::string& text : wanted.tcp_flags()) (void)AddTcpFlag(text, &flags);
  narrow.tcp_flags_mask = flags.mask;
  narrow.tcp_flags = flags.value;
  narrow.connections = wanted.connections() == pb::CONNECTIONS_NEW ? FL_CONNECTIONS_NEW
                       : wanted.connections() == pb::CONNECTIONS_ESTABLISHED
                           ? FL_CONNECTIONS_ESTABLISHED
                           : FL_CONNECTIONS_ANY;
  if (const auto prefix = ParsePayloadPrefix(wanted.payload_prefix()); prefix.ok()) {
    narrow.min_payload = static_cast<uint32_t>(prefix->size());
    narrow.first_bytes = narrow.min_payload;
    std::ranges::copy(*prefix, narrow.first);
  }
  narrow.packets_out = LeftOut(wanted.has_packet_percent(), wanted.packet_percent());
  narrow.flows_out = LeftOut(wanted.has_flow_percent(), wanted.flow_percent());
  narrow.peers_out = LeftOut(wanted.has_peer_percent(), wanted.peer_percent());
  return narrow;
}

}  // namespace faultline::network
