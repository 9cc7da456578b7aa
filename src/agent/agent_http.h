// An agent over HTTP: what it shows to Prometheus and to probes.
#pragma once

#include <memory>

#include "agent/agent.h"
#include "agent/config.h"
#include "http/listener.h"

namespace faultline::agent {

// Listens as `config` says; null when it says that nobody shall, or when the default port is
// somebody else's. Errors of http::Listener::Start. `agent` outlives the listener.
StatusOr<std::unique_ptr<http::Listener>> StartHttp(const Config& config, Agent* agent);

}  // namespace faultline::agent
