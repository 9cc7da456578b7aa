#include "faults/network/filter_spec.h"

#include <algorithm>
#include <cctype>
#include <charconv>
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

struct FlagName {
  std::string_view name;
  uint8_t bit;
};
constexpr FlagName kFlagNames[] = {{"fin", 0x01}, {"syn", 0x02}, {"rst", 0x04}, {"psh", 0x08},
                                   {"ack", 0x10}, {"urg", 0x20}, {"ece", 0x40}, {"cwr", 0x80}};

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
    FL_RETURN_IF_ERROR(Ports("local_port", filter_.local_port()));
    FL_RETURN_IF_ERROR(Ports("peer_port", filter_.peer_port()));
    FL_RETURN_IF_ERROR(Flags());
    FL_RETURN_IF_ERROR(Connections());
    FL_RETURN_IF_ERROR(AtMost("dscp", filter_.dscp(), "code points"));
    FL_RETURN_IF_ERROR(Sizes());
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

StatusOr<PortRange> ParsePortRange(std::string_view text) {
  const Status wrong = MakeError(StatusCode::kInvalidArgument, "'{}' is not a port range", text);
  PortRange range;
  auto [end, error] = std::from_chars(text.begin(), text.end(), range.first);
  if (error != std::errc() || range.first == 0) return wrong;
  range.last = range.first;
  if (end != text.end()) {
    if (*end != '-') return wrong;
    const auto second = std::from_chars(end + 1, text.end(), range.last);
    if (second.ec != std::errc() || second.ptr != text.end()) return wrong;
  }
  if (range.last < range.first) return wrong;
  return range;
}

Status AddTcpFlag(std::string_view text, TcpFlags* flags) {
  const bool set = !text.starts_with('!');
  const std::string_view name = set ? text : text.substr(1);
  const auto found = std::find_if(std::begin(kFlagNames), std::end(kFlagNames),
                                  [&](const FlagName& flag) { return flag.name == name; });
  if (found == std::end(kFlagNames)) {
    return MakeError(StatusCode::kInvalidArgument, "'{}' is not a TCP flag", text);
  }
  const bool known = (flags->mask & found->bit) != 0;
  if (known && ((flags->value & found->bit) != 0) != set) {
    return MakeError(StatusCode::kInvalidArgument, "'{}' is asked for both ways", name);
  }
  flags->mask |= found->bit;
  if (set) flags->value |= found->bit;
  return absl::OkStatus();
}

StatusOr<std::string> ParsePayloadPrefix(std::string_view text) {
  const Status wrong = MakeError(StatusCode::kInvalidArgument, "'{}' is no payload prefix", text);
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      bytes += text[at];
      continue;
    }
    constexpr size_t kDigits = 2;
    constexpr int kHexadecimal = 16;
    const std::string_view rest = text.substr(at + 1);
    uint8_t byte = '\\';
    if (rest.starts_with('x')) {
      const std::string_view digits = rest.substr(1, kDigits);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), byte, kHexadecimal);
      if (error != std::errc() || end != digits.data() + kDigits) return wrong;
      at += kDigits;
    } else if (!rest.starts_with('\\')) {
      return wrong;
    }
    bytes += static_cast<char>(byte);
    ++at;
  }
  if (bytes.empty() || bytes.size() > kMaxPrefixBytes) return wrong;
  return bytes;
}

bool IsMetadataAddress(const Cidr& peer) {
  const auto word = [&peer](size_t i) {
    const auto* bytes = &peer.address[4 * i];
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
  };
  if (!peer.ipv6) return peer.prefix_bits == 32 && word(0) == FL_METADATA_IPV4;
  return peer.prefix_bits == 128 && word(0) == FL_METADATA_IPV6_FIRST && word(1) == 0 &&
         word(2) == 0 && word(3) == FL_METADATA_IPV6_LAST;
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
