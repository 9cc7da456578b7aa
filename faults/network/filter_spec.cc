#include "faults/network/filter_spec.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "faults/network/protected_spec.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

// TCP ports of Faultline's own connections that every agent protects: agents and clients to
// controllers, and these to each other.
constexpr unsigned kApiPort = 7400, kPeerPort = 7401;

constexpr size_t kMaxHostBytes = 253;  // RFC 1035's 255 without length and root

// Whether each port of the ranges, of which there are some, is one of those. Texts that are no
// range are told elsewhere.
bool AllAre(const Texts& ports, bool (*is_one)(unsigned port)) {
  for (const std::string& text : ports) {
    const auto range = ParsePortRange(text);
    if (!range.ok()) return false;
    unsigned port = range->first;
    while (port <= range->last && is_one(port)) ++port;
    if (port <= range->last) return false;
  }
  return !ports.empty();
}

bool IsSshPort(unsigned port) { return port == FL_SSH_PORT; }
bool IsOwnPort(unsigned port) { return port == kApiPort || port == kPeerPort; }
bool IsDhcpPort(unsigned port) { return FL_IS_DHCP_PORT(port); }
bool IsProtectedTcpPort(unsigned port) { return IsSshPort(port) || IsOwnPort(port); }

class Checker {
 public:
  Checker(const v1::TrafficFilter& filter, std::string_view prefix)
      : filter_(filter), prefix_(prefix) {}

  Status Run() const {
    FL_RETURN_IF_ERROR(Networks("peer_cidr", filter_.peer_cidr()));
    FL_RETURN_IF_ERROR(Networks("exclude_peer_cidr", filter_.exclude_peer_cidr()));
    FL_RETURN_IF_ERROR(Hosts("peer_host", filter_.peer_host()));
    FL_RETURN_IF_ERROR(Hosts("exclude_peer_host", filter_.exclude_peer_host()));
    FL_RETURN_IF_ERROR(SomePeers());
    FL_RETURN_IF_ERROR(Ports("local_port", filter_.local_port()));
    FL_RETURN_IF_ERROR(Ports("peer_port", filter_.peer_port()));
    FL_RETURN_IF_ERROR(Flags());
    FL_RETURN_IF_ERROR(Connections());
    FL_RETURN_IF_ERROR(AtMost("dscp", filter_.dscp(), "code points"));
    FL_RETURN_IF_ERROR(Sizes());
    FL_RETURN_IF_ERROR(Shares());
    FL_RETURN_IF_ERROR(Payload());
    return filter_.include_protected() ? absl::OkStatus() : MoreThanProtected();
  }

 private:
  template <typename Value>
  Status Refuse(std::string_view name, const Value& value, const std::string& allowed) const {
    return FieldError(fmt::format("{}{}", prefix_, name), fmt::format("{}", value), allowed);
  }

  template <typename List>
  Status AtMost(std::string_view name, const List& list, std::string_view items) const {
    if (list.size() <= kMaxFilterItems) return absl::OkStatus();
    return Refuse(name, fmt::format("{}", fmt::join(list, ",")),
                  fmt::format("at most {} {}", kMaxFilterItems, items));
  }

  Status Networks(std::string_view name, const Texts& networks) const {
    FL_RETURN_IF_ERROR(AtMost(name, networks, "networks"));
    for (const std::string& network : networks) {
      if (ParseCidr(network).ok()) continue;
      return Refuse(name, network, "an address or a network such as 10.0.0.0/8 or 2001:db8::/32");
    }
    return absl::OkStatus();
  }

  Status Hosts(std::string_view name, const Texts& hosts) const {
    FL_RETURN_IF_ERROR(AtMost(name, hosts, "hosts"));
    for (const std::string& host : hosts) {
      const bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
      });
      if (plain && !host.empty() && host.size() <= kMaxHostBytes && host.front() != '-') continue;
      return Refuse(name, host, "a host name such as db.example.com");
    }
    return absl::OkStatus();
  }

  // Refuses excluded networks one of which holds all that is included, or that are all there is.
  // Several that only together do so are not looked for.
  Status SomePeers() const {
    const auto& out = filter_.exclude_peer_cidr();
    const auto excludes = [&out](std::string_view network) {
      return std::ranges::any_of(out, [&](const std::string& text) {
        return Covers(*ParseCidr(text), *ParseCidr(network));
      });
    };
    if (excludes("0.0.0.0/0") && excludes("::/0")) {
      return Refuse("exclude_peer_cidr", fmt::format("{}", fmt::join(out, ",")),
                    "networks that leave some address: these are all of IPv4 and of IPv6");
    }
    const auto& in = filter_.peer_cidr();
    if (in.empty() || !filter_.peer_host().empty() || !std::ranges::all_of(in, excludes)) {
      return absl::OkStatus();
    }
    return Refuse("peer_cidr", fmt::format("{}", fmt::join(in, ",")),
                  fmt::format("a network that is not wholly inside of one of exclude_peer_cidr, {}",
                              fmt::join(out, ",")));
  }

  Status Ports(std::string_view name, const Texts& ports) const {
    FL_RETURN_IF_ERROR(AtMost(name, ports, "ports or ranges"));
    for (const std::string& text : ports) {
      if (ParsePortRange(text).ok()) continue;
      return Refuse(name, text, "a port from 1 to 65535, or a range: 8000-8100");
    }
    if (!ports.empty() && filter_.protocol() == v1::PROTOCOL_ICMP) {
      return Refuse(name, fmt::format("{}", fmt::join(ports, ",")),
                    "no ports with protocol icmp, which has none");
    }
    return absl::OkStatus();
  }

  // Refuses what would touch nothing at all.
  Status MoreThanProtected() const {
    FL_RETURN_IF_ERROR(MoreThanMetadata());
    if (filter_.protocol() == v1::PROTOCOL_UDP) return MoreThanDhcp();
    FL_RETURN_IF_ERROR(MoreThanTcp("local_port", filter_.local_port()));
    return MoreThanTcp("peer_port", filter_.peer_port());
  }

  Status MoreThanMetadata() const {
    const Texts& peers = filter_.peer_cidr();
    if (peers.empty() || !filter_.peer_host().empty()) return absl::OkStatus();
    for (const std::string& peer : peers) {
      if (!IsMetadataAddress(*ParseCidr(peer))) return absl::OkStatus();
    }
    return Refuse("peer_cidr", fmt::format("{}", fmt::join(peers, ",")),
                  "a peer that is not the metadata address, which is protected; or "
                  "include_protected=true");
  }

  Status MoreThanDhcp() const {
    if (!AllAre(filter_.local_port(), IsDhcpPort) || !AllAre(filter_.peer_port(), IsDhcpPort)) {
      return absl::OkStatus();
    }
    return Refuse("local_port", fmt::format("{}", fmt::join(filter_.local_port(), ",")),
                  fmt::format("with peer_port {}, a port that is not DHCP's, which is protected; "
                              "or include_protected=true",
                              fmt::join(filter_.peer_port(), ",")));
  }

  Status MoreThanTcp(std::string_view name, const Texts& ports) const {
    if (!AllAre(ports, IsProtectedTcpPort)) return absl::OkStatus();
    const std::string_view whose = AllAre(ports, IsSshPort)   ? "SSH's"
                                   : AllAre(ports, IsOwnPort) ? "Faultline's own"
                                                              : "SSH's or Faultline's own";
    return Refuse(name, fmt::format("{}", fmt::join(ports, ",")),
                  fmt::format("a port that is not {}, which is protected; or "
                              "include_protected=true",
                              whose));
  }

  Status Flags() const {
    FL_RETURN_IF_ERROR(AtMost("tcp_flags", filter_.tcp_flags(), "flags"));
    TcpFlags flags;
    for (const std::string& text : filter_.tcp_flags()) {
      if (AddTcpFlag(text, &flags).ok()) continue;
      return Refuse("tcp_flags", text,
                    "one of fin, syn, rst, psh, ack, urg, ece, cwr, or one with a ! before it, and "
                    "none of them both ways");
    }
    if (flags.mask == 0 || MayBeTcp()) return absl::OkStatus();
    return Refuse("tcp_flags", fmt::format("{}", fmt::join(filter_.tcp_flags(), ",")),
                  "no flags with another protocol than tcp");
  }

  bool MayBeTcp() const {
    const auto protocol = filter_.protocol();
    return protocol == v1::PROTOCOL_TCP || protocol == v1::PROTOCOL_ANY ||
           protocol == v1::PROTOCOL_UNSPECIFIED;
  }

  Status Connections() const {
    if (!AsksForConnections(filter_) || MayBeTcp()) return absl::OkStatus();
    return Refuse("connections",
                  filter_.connections() == v1::CONNECTIONS_NEW ? "new" : "established",
                  "any, with another protocol than tcp");
  }

  Status Sizes() const {
    if (!filter_.has_max_packet_bytes() ||
        filter_.max_packet_bytes() >= filter_.min_packet_bytes()) {
      return absl::OkStatus();
    }
    return Refuse("max_packet_bytes", filter_.max_packet_bytes(),
                  fmt::format("at least min_packet_bytes, {}", filter_.min_packet_bytes()));
  }

  Status Shares() const {
    FL_RETURN_IF_ERROR(
        Some("packet_percent", filter_.has_packet_percent(), filter_.packet_percent()));
    FL_RETURN_IF_ERROR(Some("flow_percent", filter_.has_flow_percent(), filter_.flow_percent()));
    return Some("peer_percent", filter_.has_peer_percent(), filter_.peer_percent());
  }

  Status Some(std::string_view name, bool given, double percent) const {
    if (!given || percent > 0) return absl::OkStatus();
    return Refuse(name, percent, "more than 0, up to 100 %");
  }

  Status Payload() const {
    if (!filter_.has_payload_prefix()) return absl::OkStatus();
    if (filter_.protocol() == v1::PROTOCOL_ICMP) {
      return Refuse("payload_prefix", filter_.payload_prefix(), "nothing with protocol icmp");
    }
    if (ParsePayloadPrefix(filter_.payload_prefix()).ok()) return absl::OkStatus();
    return Refuse("payload_prefix", filter_.payload_prefix(),
                  fmt::format("1 to {} bytes, such as GET /api or \\x16\\x03", kMaxPrefixBytes));
  }

  const v1::TrafficFilter& filter_;
  const std::string_view prefix_;
};

}  // namespace

bool AsksForConnections(const v1::TrafficFilter& filter) {
  return filter.connections() == v1::CONNECTIONS_NEW ||
         filter.connections() == v1::CONNECTIONS_ESTABLISHED;
}

v1::TrafficFilter FilterOf(const v1::NetworkPartition& partition) {
  v1::TrafficFilter filter;
  (void)filter.ParseFromString(partition.filter().SerializeAsString());  // fields have its numbers
  filter.set_protocol(partition.protocol());
  return filter;
}

Status ValidateFilter(const v1::TrafficFilter& filter, std::string_view prefix) {
  return Checker(filter, prefix).Run();
}

}  // namespace faultline::network
