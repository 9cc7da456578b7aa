// What both sides of a connection are described with, free of gRPC headers.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline::rpc {

// Fixed default ports.
inline constexpr int kApiPort = 7400;        // ChaosController and AgentService
inline constexpr int kPeerPort = 7401;       // controller to controller
inline constexpr int kHttpPort = 7402;       // a controller's /metrics, /healthz, /readyz
inline constexpr int kAgentHttpPort = 7403;  // an agent's

// Bytes of the largest answer that clients and nodes take. Answers that grow with the number of
// experiments are made of far less: a page of a list, a stop's.
inline constexpr int kMaxAnswerBytes = 64 << 20;

// PEM files; all empty is no TLS. With TLS both sides show a certificate signed by `ca_file`.
struct TlsFiles {
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  bool enabled() const { return !ca_file.empty() || !cert_file.empty() || !key_file.empty(); }
};

// INVALID_ARGUMENT unless `address` (host:port, or unix:path) is this host's loopback: what may be
// bound or reached without TLS. The error is about `field`: where the address was given.
Status RequireLoopback(const std::string& address, std::string_view field = "address");

// Who makes a call: from the client certificate's common name, or "local" without TLS.
struct Caller {
  std::string name;
  bool authenticated = false;  // by certificate
};

}  // namespace faultline::rpc
