// The client's calls by name, with their messages as JSON.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "client/client.h"

namespace faultline::client {

using JsonCall = std::function<StatusOr<std::string>(Client&, const CallOptions&)>;

// A unary method of ChaosController or ClusterService, such as "StartExperiment", with its request.
// UNIMPLEMENTED (reason UNKNOWN_METHOD), or as FromJson. What the result gives is the response's
// JSON.
StatusOr<JsonCall> ParseCall(std::string_view method, std::string_view json);

// Empty text is an empty message. INVALID_ARGUMENT (reason MALFORMED_REQUEST) for what is not that
// message.
Status FromJson(std::string_view json, google::protobuf::Message* message);
std::string ToJson(const google::protobuf::Message& message);

}  // namespace faultline::client
