#include "server/incoming.h"

#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "rpc/credentials.h"
#include "rpc/status.h"

namespace faultline::server {

uint64_t LeftNs(const grpc::CallbackServerContext& context, uint64_t longest_ns) {
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
                        context.deadline() - std::chrono::system_clock::now())
                        .count();
  return left > 0 ? std::min(static_cast<uint64_t>(left), longest_ns) : 0;
}

CallContext ContextOf(const grpc::CallbackServerContext& context, uint64_t longest_ns) {
  return {rpc::CallerOf(context), MonotonicNowNs() + LeftNs(context, longest_ns)};
}

std::string ClientOf(const grpc::CallbackServerContext& context) {
  const rpc::Caller caller = rpc::CallerOf(context);
  return caller.authenticated ? caller.name : context.peer();
}

std::shared_ptr<Gate::Ticket> Admit(Gates* gates, const grpc::CallbackServerContext& context,
                                    const google::protobuf::Message& request,
                                    grpc::ServerUnaryReactor* reactor) {
  auto ticket = gates->calls.Enter(ClientOf(context), request.ByteSizeLong());
  if (ticket.ok()) return *std::move(ticket);
  reactor->Finish(rpc::ToGrpc(ticket.status()));
  return nullptr;
}

}  // namespace faultline::server
