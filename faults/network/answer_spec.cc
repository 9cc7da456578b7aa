#include "faults/network/answer_spec.h"

#include <string>

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

std::string Joined(const v1::TrafficFilter& filter) {
  return fmt::format("{}", fmt::join(filter.tcp_flags(), ","));
}

}  // namespace

Status ValidateTcpReset(const Message& message, std::string_view prefix) {
  const auto& filter = static_cast<const v1::TcpReset&>(message).filter();
  FL_RETURN_IF_ERROR(ValidateTcpFilter(filter, prefix));
  for (const std::string& flag : filter.tcp_flags()) {
    if (flag != "syn" && flag != "rst") continue;
    return Refuse(prefix, "tcp_flags", Joined(filter),
                  "neither syn nor rst: what opens a connection or ends it is not reset");
  }
  return absl::OkStatus();
}

Status ValidateConnectFail(const Message& message, std::string_view prefix) {
  const auto& filter = static_cast<const v1::ConnectFail&>(message).filter();
  FL_RETURN_IF_ERROR(ValidateTcpFilter(filter, prefix));
  if (filter.tcp_flags().empty()) return absl::OkStatus();
  return Refuse(prefix, "tcp_flags", Joined(filter),
                "no flags: what opens a connection has syn and no ack");
}

}  // namespace faultline::network
