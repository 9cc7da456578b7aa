// A call that has come in: who makes it, how long it may take, and its place among those under way.
// Includes gRPC: for the .cc files of services only.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>

#include "server/call.h"
#include "server/overload.h"

namespace faultline::server {

// Nanoseconds until the caller's deadline: `longest_ns` at most.
uint64_t LeftNs(const grpc::CallbackServerContext& context, uint64_t longest_ns);

// What its handler is called with, who has all of that time.
CallContext ContextOf(const grpc::CallbackServerContext& context, uint64_t longest_ns);

// Whose share of the gates it takes.
std::string ClientOf(const grpc::CallbackServerContext& context);

// Its place, to be kept until it is answered. Null when there is none: the call is finished with
// that.
std::shared_ptr<Gate::Ticket> Admit(Gates* gates, const grpc::CallbackServerContext& context,
                                    const google::protobuf::Message& request,
                                    grpc::ServerUnaryReactor* reactor);

}  // namespace faultline::server
