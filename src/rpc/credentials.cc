#include "rpc/credentials.h"

#include <grpcpp/server_context.h>

#include "rpc/certificate.h"
#include "rpc/keepalive.h"

namespace faultline::rpc {

StatusOr<std::shared_ptr<grpc::ServerCredentials>> ListenerCredentials(const TlsFiles& tls,
                                                                       const std::string& address) {
  if (!tls.enabled()) {
    FL_RETURN_IF_ERROR(RequireLoopback(address));
    return grpc::InsecureServerCredentials();
  }
  FL_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTls(tls));
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = texts.ca;
  options.pem_key_cert_pairs.push_back({texts.key, texts.cert});
  return grpc::SslServerCredentials(options);
}

StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(const TlsFiles& tls,
                                                                       const std::string& address,
                                                                       std::string_view field) {
  if (!tls.enabled()) {
    FL_RETURN_IF_ERROR(RequireLoopback(address, field));
    return grpc::InsecureChannelCredentials();
  }
  FL_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTls(tls));
  return grpc::SslCredentials({texts.ca, texts.key, texts.cert});
}

void SetReconnect(int first_ms, int longest_ms, grpc::ChannelArguments* arguments) {
  // What gRPC calls the least time between attempts is how long one may take: the handshakes of a
  // connection over TLS are three round trips.
  constexpr int kConnectMs = 2'000;
  arguments->SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, first_ms);
  arguments->SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  arguments->SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, longest_ms);
  arguments->SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kLeastLookUpIntervalMs);
}

void KeepCallbackQueue(const std::shared_ptr<grpc::Channel>& channel) {
  // Volatile: a pointer that nobody reads is left out, and what it kept would count as lost.
  [[maybe_unused]] static auto* volatile kept = new std::shared_ptr<grpc::Channel>(channel);
}

Caller CallerOf(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (auth && auth->IsPeerAuthenticated()) {
    const auto names = auth->FindPropertyValues("x509_common_name");
    if (!names.empty()) return {std::string(names[0].data(), names[0].size()), true};
  }
  return {"local", false};
}

}  // namespace faultline::rpc
