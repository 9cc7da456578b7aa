#include "server/relay.h"

#include <algorithm>
#include <utility>

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kReopen{100};

}  // namespace

RelayManager::RelayManager(uint64_t node_id, std::vector<uint64_t> others, Strand* strand,
                           Peers* peers, const ControlPlane* plane, MetricsHub* hub)
    : node_id_(node_id),
      others_(std::move(others)),
      strand_(strand),
      peers_(peers),
      plane_(plane),
      hub_(hub) {}

void RelayManager::SetOthers(std::vector<uint64_t> others) {
  strand_->Post([this, others = std::move(others)]() mutable {
    others_ = std::move(others);
    std::erase_if(relays_, [this](const auto& relay) {
      return std::find(others_.begin(), others_.end(), relay.first) == others_.end();
    });
    Reconcile();
  });
}

void RelayManager::OnDemand() {
  strand_->Post([this] { Reconcile(); });
}

void RelayManager::Shutdown() {
  strand_->Run([this] {
    ended_ = true;
    relays_.clear();
  });
}

// With the state locked no longer than it takes: all of the node waits for it.
AgentSet RelayManager::Wanted(const MetricDemand& demand) {
  control::AgentMap all;
  AgentSet of_experiments;
  const bool changed = plane_->With([&](const control::State& state, const auto& version) {
    if (version.revision() == revision_ && demand == demand_) return false;
    revision_ = version.revision();
    all = state.agents;
    of_experiments = demand.OfExperiments(state);
    return true;
  });
  if (!changed) return agents_;
  demand_ = demand;
  return demand.WithObserved(std::move(of_experiments), all);
}

void RelayManager::Reconcile() {
  if (ended_ || others_.empty()) return;
  const MetricDemand demand = hub_->demand();
  AgentSet agents = Wanted(demand);
  const bool changed = agents != agents_;
  if (changed) {
    agents_ = std::move(agents);
    hub_->Follow(agents_);  // first: what comes then has been asked for
  }
  if (agents_.empty()) relays_.clear();
  for (const uint64_t other : others_) {
    const auto relay = relays_.find(other);
    if (relay != relays_.end() && changed) relay->second->Want(agents_);
    if (relay == relays_.end() && !agents_.empty()) Open(other);
  }
  if (!demand.empty()) LookAgain();
}

void RelayManager::LookAgain() {
  if (std::exchange(looks_again_, true)) return;
  strand_->PostAfter(kLookAgain, [this] {
    looks_again_ = false;
    Reconcile();
  });
}

void RelayManager::Open(uint64_t other) {
  auto relay = peers_->RelayMetrics(
      other, node_id_, agents_,
      [hub = hub_](const chaos::v1::MetricsBatch& batch) { hub->Ingest(batch, /*relayed=*/true); },
      [this, other] {
        strand_->PostAfter(kReopen, [this, other] {
          relays_.erase(other);
          Reconcile();
        });
      });
  if (relay != nullptr) relays_[other] = std::move(relay);
}

}  // namespace faultline::server
