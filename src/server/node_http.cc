#include "server/node_http.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/catching_up.h"
#include "server/node_metrics.h"

namespace faultline::server {
namespace {

// How long a probe waits for the proof that this node has what the cluster has.
constexpr uint64_t kProofNs = 2 * kNanosPerSecond;

// Whether restarting the process could help.
void Health(const Parts& parts, raft::Node* node, const std::function<void(http::Reasons)>& done) {
  if (const Status health = parts.plane->health(); !health.ok()) {
    return done({ToString(health.message())});
  }
  // Answered by the node's own strand: one that hangs does not answer, and the listener says so.
  node->Inspect([done](const raft::View& view, const raft::GroupState&) {
    if (view.role == raft::Role::kUnavailable) {
      return done({"the node has stopped for good; its log says why"});
    }
    done({});
  });
}

// Whether the node answers as the cluster would: it has found a leader that a majority backs, and
// has applied what that one had committed.
void Readiness(const Parts& parts, const std::function<void(http::Reasons)>& done) {
  const raft::View view = parts.plane->view();
  if (const std::string why = WhyNotReady(view); !why.empty()) return done({why});
  parts.leader->CatchUp({{}, MonotonicNowNs() + kProofNs},
                        [plane = parts.plane, asked = view.leader_id, done](const Status& status) {
                          if (status.ok()) return done({});
                          done({WhyBehind(status, asked, plane->view())});
                        });
}

}  // namespace

StatusOr<std::unique_ptr<http::Listener>> StartHttp(
    const Config& config, const Parts& parts, raft::Node* node, const RpcMeters* rpcs,
    std::function<std::map<std::string, uint64_t>()> refused_peers) {
  const std::string address = config.http_listen.value_or(kDefaultHttp);
  if (address.empty() || address == "off") return nullptr;
  const auto metrics = std::make_shared<NodeMetrics>(parts, node, rpcs, std::move(refused_peers));
  http::Sources sources;
  sources.metrics = [metrics](auto done) { metrics->Collect(std::move(done)); };
  sources.health = [parts, node](const auto& done) { Health(parts, node, done); };
  sources.readiness = [parts](const auto& done) { Readiness(parts, done); };
  auto routes =
      http::ExpositionRoutes("controller", FAULTLINE_VERSION, std::move(sources), config.tls);
  auto listener = http::Listener::Start({address, config.tls}, std::move(routes));
  if (!listener.ok() && !config.http_listen) {
    FL_LOG(warn, "no /metrics: {}; --http-listen gives another address, or off",
           ToString(listener.status().message()));
    return nullptr;
  }
  if (listener.ok()) {
    FL_LOG(info, "/metrics, /healthz and /readyz on {}", (*listener)->address());
  }
  return listener;
}

}  // namespace faultline::server
