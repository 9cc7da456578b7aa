// The one factory of credentials: every channel and every listener of every program comes from
// here. Without TLS files only loopback (and Unix sockets) may be bound or reached.
#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "rpc/endpoint.h"

namespace grpc {
class Channel;
class ServerContextBase;
}  // namespace grpc

namespace faultline::rpc {

// INVALID_ARGUMENT when only some files are given, one cannot be read, or there is no TLS and
// `address` (host:port, or unix:path), which was given as `field`, is not loopback.
StatusOr<std::shared_ptr<grpc::ServerCredentials>> ListenerCredentials(const TlsFiles& tls,
                                                                       const std::string& address);
StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(
    const TlsFiles& tls, const std::string& address, std::string_view field = "address");

// How a channel between controllers connects again: after `first_ms`, twice as long each time up to
// `longest_ms`, and two seconds for each attempt. Its address' name is looked up again meanwhile.
void SetReconnect(int first_ms, int longest_ms, grpc::ChannelArguments* arguments);

// To be called before a callback call (stub->async()) on the channel. gRPC 1.51 frees the queue of
// all callback calls with the last channel that used it, also on that queue's own thread, in the
// end of a call that outlived its stub; the thread then goes on with freed memory. So the first
// channel that comes here stays for as long as the process. From any thread.
void KeepCallbackQueue(const std::shared_ptr<grpc::Channel>& channel);

// What every RPC handler begins with.
Caller CallerOf(const grpc::ServerContextBase& context);

}  // namespace faultline::rpc
