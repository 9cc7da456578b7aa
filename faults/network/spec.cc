#include "faults/network/spec.h"

#include <arpa/inet.h>

#include <charconv>
#include <string>

#include "network/v1/parameters.pb.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;
using google::protobuf::Message;

std::string Field(std::string_view prefix, std::string_view name) {
  return fmt::format("{}{}", prefix, name);
}

template <typename Ports>
Status ValidatePorts(const Ports& ports, const v1::TrafficFilter& filter, std::string_view prefix,
                     std::string_view name) {
  const std::string value = fmt::format("{}", fmt::join(ports, ","));
  if (ports.size() > kMaxFilterItems) {
    return FieldError(Field(prefix, name), value, fmt::format("at most {} ports", kMaxFilterItems));
  }
  if (!ports.empty() && filter.protocol() == v1::PROTOCOL_ICMP) {
    return FieldError(Field(prefix, name), value, "no ports with protocol icmp, which has none");
  }
  return absl::OkStatus();
}

Status ValidateFilter(const v1::TrafficFilter& filter, std::string_view prefix) {
  const auto& cidrs = filter.peer_cidr();
  if (cidrs.size() > kMaxFilterItems) {
    return FieldError(Field(prefix, "peer_cidr"), fmt::format("{}", fmt::join(cidrs, ",")),
                      fmt::format("at most {} networks", kMaxFilterItems));
  }
  for (const std::string& cidr : cidrs) {
    if (!ParseCidr(cidr).ok()) {
      return FieldError(Field(prefix, "peer_cidr"), cidr,
                        "an address or a network such as 10.0.0.0/8 or 2001:db8::/32");
    }
  }
  FL_RETURN_IF_ERROR(ValidatePorts(filter.local_port(), filter, prefix, "local_port"));
  return ValidatePorts(filter.peer_port(), filter, prefix, "peer_port");
}

Status ValidateLatency(const Message& message, std::string_view prefix) {
  const auto& latency = static_cast<const v1::NetworkLatency&>(message);
  if (latency.jitter_ms() > latency.delay_ms()) {
    return FieldError(Field(prefix, "jitter_ms"), fmt::format("{}", latency.jitter_ms()),
                      fmt::format("at most the delay, {} ms", latency.delay_ms()));
  }
  return ValidateFilter(latency.filter(), prefix);
}

Status ValidateLoss(const Message& message, std::string_view prefix) {
  return ValidateFilter(static_cast<const v1::NetworkLoss&>(message).filter(), prefix);
}

Status ValidateBandwidth(const Message& message, std::string_view prefix) {
  constexpr double kPacketBytes = 1514, kLongestSeconds = 60;
  const auto& bandwidth = static_cast<const v1::NetworkBandwidth&>(message);
  const double longest = bandwidth.rate_bps() / 8 * kLongestSeconds;
  const double queue = bandwidth.queue_bytes();
  if ((queue > 0 && queue < kPacketBytes) || queue > longest) {
    return FieldError(
        Field(prefix, "queue_bytes"), fmt::format("{}", queue),
        fmt::format("0, or {} (one packet) to {:.0f} bytes (what {} bps send in {} s)",
                    kPacketBytes, longest, bandwidth.rate_bps(), kLongestSeconds));
  }
  return ValidateFilter(bandwidth.filter(), prefix);
}

template <typename Parameters>
std::vector<std::string> Occupies(const Message& message) {
  switch (static_cast<const Parameters&>(message).filter().direction()) {
    case v1::DIRECTION_INGRESS:
      return {"network/ingress"};
    case v1::DIRECTION_BOTH:
      return {"network/egress", "network/ingress"};
    default:
      return {"network/egress"};
  }
}

constexpr faults::Kind kKinds[] = {
    {&v1::NetworkLatency::descriptor, ValidateLatency, Occupies<v1::NetworkLatency>},
    {&v1::NetworkLoss::descriptor, ValidateLoss, Occupies<v1::NetworkLoss>},
    {&v1::NetworkBandwidth::descriptor, ValidateBandwidth, Occupies<v1::NetworkBandwidth>},
};

}  // namespace

std::span<const faults::Kind> Kinds() { return kKinds; }

StatusOr<Cidr> ParseCidr(std::string_view text) {
  const Status wrong = MakeError(StatusCode::kInvalidArgument, "'{}' is not a network", text);
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Cidr cidr;
  if (inet_pton(AF_INET, address.c_str(), cidr.address.data()) != 1) {
    if (inet_pton(AF_INET6, address.c_str(), cidr.address.data()) != 1) return wrong;
    cidr.ipv6 = true;
  }
  const unsigned address_bits = cidr.ipv6 ? 128 : 32;
  unsigned bits = address_bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), bits);
    if (error != std::errc() || end != digits.end() || bits > address_bits) return wrong;
  }
  cidr.prefix_bits = static_cast<uint8_t>(bits);
  for (unsigned bit = bits; bit < 128; ++bit) {
    cidr.address[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
  }
  return cidr;
}

}  // namespace faultline::network
