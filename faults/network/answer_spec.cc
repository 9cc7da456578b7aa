#include "faults/network/answer_spec.h"

#include <string>

#include "faults/network/dns_name_spec.h"
#include "faults/network/filter_spec.h"
#include "network/v1/answers.pb.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;
using google::protobuf::Message;

Status Refuse(std::string_view prefix, std::string_view name, std::string_view value,
              std::string_view allowed) {
  return FieldError(fmt::format("{}{}", prefix, name), value, allowed);
}

Status ValidateTcpFilter(const v1::TrafficFilter& filter, std::string_view prefix) {
  if (filter.protocol() == v1::PROTOCOL_UDP || filter.protocol() == v1::PROTOCOL_ICMP) {
    return Refuse(prefix, "protocol", filter.protocol() == v1::PROTOCOL_UDP ? "udp" : "icmp",
                  "any or tcp: nothing else has connections");
  }
  return ValidateFilter(filter, prefix);
}

template <typename List>
std::string Joined(const List& texts) {
  return fmt::format("{}", fmt::join(texts, ","));
}

// `what` a target sends or gets, and not both.
Status ValidateOneWay(const v1::TrafficFilter& filter, std::string_view prefix,
                      std::string_view what) {
  if (filter.direction() == v1::DIRECTION_BOTH) {
    return Refuse(
        prefix, "direction", "both",
        fmt::format("egress ({0} that the target sends) or ingress ({0} that it gets)", what));
  }
  if (filter.tcp_flags().empty()) return absl::OkStatus();
  return Refuse(prefix, "tcp_flags", Joined(filter.tcp_flags()), "no flags");
}

Status ValidateNames(const v1::DnsFault& fault, std::string_view prefix) {
  if (fault.names().empty() || fault.names_size() > kMaxFilterItems) {
    return Refuse(prefix, "names", Joined(fault.names()),
                  fmt::format("1 to {} names", kMaxFilterItems));
  }
  for (const std::string& name : fault.names()) {
    if (ParseNamePattern(name).ok()) continue;
    return Refuse(prefix, "names", name,
                  "a name such as db.example.com, *.example.com for all below it, or * for all");
  }
  return absl::OkStatus();
}

Status ValidateAddresses(const v1::DnsFault& fault, std::string_view prefix) {
  const bool wanted = fault.answer() == v1::DNS_FAILURE_ADDRESS;
  if (wanted ? fault.addresses().empty() || fault.addresses_size() > kMaxDnsAddresses
             : !fault.addresses().empty()) {
    return Refuse(prefix, "addresses", Joined(fault.addresses()),
                  wanted ? fmt::format("1 to {} addresses", kMaxDnsAddresses)
                         : "nothing unless answer is address");
  }
  for (const std::string& address : fault.addresses()) {
    const auto cidr = ParseCidr(address);
    if (cidr.ok() && address.find('/') == std::string::npos) continue;
    return Refuse(prefix, "addresses", address, "an IPv4 or IPv6 address");
  }
  return absl::OkStatus();
}

}  // namespace

Status ValidateTcpReset(const Message& message, std::string_view prefix) {
  const auto& filter = static_cast<const v1::TcpReset&>(message).filter();
  FL_RETURN_IF_ERROR(ValidateTcpFilter(filter, prefix));
  for (const std::string& flag : filter.tcp_flags()) {
    if (flag != "syn" && flag != "rst") continue;
    return Refuse(prefix, "tcp_flags", Joined(filter.tcp_flags()),
                  "neither syn nor rst: what opens a connection or ends it is not reset");
  }
  return absl::OkStatus();
}

Status ValidateConnectFail(const Message& message, std::string_view prefix) {
  const auto& filter = static_cast<const v1::ConnectFail&>(message).filter();
  FL_RETURN_IF_ERROR(ValidateTcpFilter(filter, prefix));
  if (!filter.tcp_flags().empty()) {
    return Refuse(prefix, "tcp_flags", Joined(filter.tcp_flags()),
                  "no flags: what opens a connection has syn and no ack");
  }
  if (filter.connections() == v1::CONNECTIONS_ESTABLISHED) {
    return Refuse(prefix, "connections", "established", "any or new: it opens one");
  }
  if (!filter.has_payload_prefix()) return absl::OkStatus();
  return Refuse(prefix, "payload_prefix", filter.payload_prefix(),
                "nothing: what opens a connection carries no payload");
}

Status ValidateDnsFault(const Message& message, std::string_view prefix) {
  const auto& fault = static_cast<const v1::DnsFault&>(message);
  const auto& filter = fault.filter();
  FL_RETURN_IF_ERROR(ValidateNames(fault, prefix));
  FL_RETURN_IF_ERROR(ValidateAddresses(fault, prefix));
  if (filter.protocol() == v1::PROTOCOL_ICMP) {
    return Refuse(prefix, "protocol", "icmp", "any, udp or tcp: what carries DNS");
  }
  FL_RETURN_IF_ERROR(ValidateOneWay(filter, prefix, "queries"));
  return ValidateFilter(filter, prefix);
}

Status ValidateRequestFilter(const v1::TrafficFilter& filter, std::string_view prefix) {
  FL_RETURN_IF_ERROR(ValidateOneWay(filter, prefix, "requests"));
  return ValidateTcpFilter(filter, prefix);
}

}  // namespace faultline::network
