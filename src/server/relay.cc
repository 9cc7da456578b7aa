#include "server/relay.h"

#include <algorithm>

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kReopen{100};

}  // namespace

RelayManager::RelayManager(uint64_t node_id, std::vector<uint64_t> others, Strand* strand,
                           Peers* peers, MetricsHub* hub)
    : node_id_(node_id), others_(std::move(others)), strand_(strand), peers_(peers), hub_(hub) {}

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

void RelayManager::Reconcile() {
  if (ended_ || !hub_->wanted()) return relays_.clear();
  for (const uint64_t other : others_) {
    if (!relays_.contains(other)) Open(other);
  }
}

void RelayManager::Open(uint64_t other) {
  auto relay = peers_->RelayMetrics(
      other, node_id_,
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
