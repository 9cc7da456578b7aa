#include "agent/agent_http.h"

#include "base/log.h"
#include "http/exposition.h"

namespace faultline::agent {

StatusOr<std::unique_ptr<http::Listener>> StartHttp(const Config& config, Agent* agent) {
  const std::string address = config.http_listen.value_or(kDefaultHttp);
  if (address.empty() || address == "off") return nullptr;
  http::Sources sources;
  sources.metrics = [agent](auto done) { agent->Collect(std::move(done)); };
  // Answered by the agent's strand: one that hangs does not answer, and the listener says so.
  sources.health = [agent](const auto& done) {
    agent->Readiness([done](const http::Reasons&) { done({}); });
  };
  sources.readiness = [agent](auto done) { agent->Readiness(std::move(done)); };
  const rpc::TlsFiles tls{config.tls_ca_file, config.tls_cert_file, config.tls_key_file};
  auto routes = http::ExpositionRoutes("agent", FAULTLINE_VERSION, std::move(sources), tls);
  auto listener = http::Listener::Start({address, tls}, std::move(routes));
  if (!listener.ok() && !config.http_listen) {
    FL_LOG(warn, "no /metrics: {}; http_listen gives another address, or off",
           ToString(listener.status().message()));
    return nullptr;
  }
  if (listener.ok()) {
    FL_LOG(info, "/metrics, /healthz and /readyz on {}", (*listener)->address());
  }
  return listener;
}

}  // namespace faultline::agent
