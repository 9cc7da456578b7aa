#include "server/grpc_port.h"

#include "rpc/credentials.h"
#include "rpc/keepalive.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kShutdown{500};
// A connection whose other end is gone without a word is noticed after these two together.
constexpr int kKeepaliveMs = 5'000;
constexpr int kKeepaliveTimeoutMs = 3'000;

// Any certificate may ask who belongs to the cluster: a node that is to join asks before it does.
constexpr char kOpenPeerMethod[] = "/server.v1.ClusterPeerService/Describe";

}  // namespace

Status PreparePort(grpc::ServerBuilder& builder, const rpc::TlsFiles& tls,
                   const std::shared_ptr<rpc::PeerNames>& names, const std::string& address,
                   int* port) {
  FL_ASSIGN_OR_RETURN(const auto credentials, rpc::ListenerCredentials(tls, address));
  if (names && tls.enabled()) {
    credentials->SetAuthMetadataProcessor(rpc::CheckedBy(names, kOpenPeerMethod));
  }
  builder.AddListeningPort(address, credentials, port);
  // Two controllers on one port would take turns.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             rpc::kLeastPingIntervalMs);
  return absl::OkStatus();
}

Status CannotListen(const std::string& address) {
  return MakeError(StatusCode::kFailedPrecondition,
                   "cannot listen on {}: the port is taken or the address is not this host's",
                   address);
}

void ShutDown(std::unique_ptr<grpc::Server>& server) {
  if (!server) return;
  server->Shutdown(std::chrono::system_clock::now() + kShutdown);
  server->Wait();
}

}  // namespace faultline::server
