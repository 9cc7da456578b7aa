// A controller over HTTP: what it shows to Prometheus and to probes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "http/listener.h"
#include "raft/node.h"
#include "server/config.h"
#include "server/rpc_meters.h"
#include "server/services.h"

namespace faultline::server {

// Listens as `config` says; null when it says that nobody shall, or when the default port is
// somebody else's. Errors of http::Listener::Start. All that is given outlives the listener.
StatusOr<std::unique_ptr<http::Listener>> StartHttp(
    const Config& config, const Parts& parts, raft::Node* node, const RpcMeters* rpcs,
    std::function<std::map<std::string, uint64_t>()> refused_peers);

}  // namespace faultline::server
