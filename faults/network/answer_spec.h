// What the parameters of the kinds that answer packets may be, beside their options. Pure.
#pragma once

#include <google/protobuf/message.h>

#include <string_view>

#include "base/status.h"
#include "network/v1/filter.pb.h"

namespace faultline::network {

// For kKinds. INVALID_ARGUMENT with the field "<prefix><parameter>": a filter that leaves nothing
// of what the kind concerns, and ValidateFilter's reasons.
Status ValidateTcpReset(const google::protobuf::Message& message, std::string_view prefix);
Status ValidateConnectFail(const google::protobuf::Message& message, std::string_view prefix);
Status ValidateDnsFault(const google::protobuf::Message& message, std::string_view prefix);

// The filter of a kind that answers requests on TCP connections: of one direction.
Status ValidateRequestFilter(const ::network::v1::TrafficFilter& filter, std::string_view prefix);

}  // namespace faultline::network
