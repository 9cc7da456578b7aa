#include "server/metrics_hub.h"

#include <algorithm>

namespace faultline::server {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;
using chaos::v1::SparseHistogram;

struct MetricsHub::Source {
  struct Entry {
    std::shared_ptr<const MetricsBatch> batch;
    Updates updates;
  };
  bool relayed = false;
  uint64_t last_sequence = 0;
  uint64_t last_ingest = 0;
  TargetWindows windows;
  std::deque<Entry> history;
};

namespace {

auto MakeOnReady(std::function<void()> on_ready) {
  return std::make_shared<const std::function<void()>>(std::move(on_ready));
}

}  // namespace

// Guarded by the hub's mutex.
class MetricsHub::SubscriptionImpl : public Subscription {
 public:
  SubscriptionImpl(MetricsHub* hub, Filter filter, std::function<void()> on_ready)
      : hub_(hub), filter_(std::move(filter)), on_ready_(MakeOnReady(std::move(on_ready))) {}

  ~SubscriptionImpl() override {
    std::function<void()> observer;
    {
      const std::lock_guard lock(hub_->mutex_);
      hub_->subscriptions_.erase(this);
      if (hub_->subscriptions_.empty()) observer = hub_->demand_observer_;
    }
    if (observer) observer();
  }

  std::optional<MetricUpdate> Next() override {
    const std::lock_guard lock(hub_->mutex_);
    if (ready_.empty()) return std::nullopt;
    Slot& slot = *ready_.front();
    ready_.pop_front();
    slot.queued = false;
    slot.filled = false;
    hub_->meters_.updates.Add();
    return std::move(slot.update);
  }

  // Result: true when something became ready.
  bool Offer(const MetricUpdate& update, int64_t interval_ns) {
    if (!Wants(update)) return false;
    const auto& position = update.position();
    const SourceKey source{position.agent_id(), position.incarnation()};
    const auto resumed = filter_.resume.find(source);
    if (resumed != filter_.resume.end() && position.sequence() <= resumed->second) return false;
    Slot& slot = slots_[{update.experiment_id(), update.target_id(), source}];
    Merge(slot, update);
    // Half an interval of slack: batches do not come exactly on time.
    const auto due_ns = slot.last_emitted_ns + static_cast<int64_t>(1e9 / filter_.rate_hz);
    if (slot.queued || update.timestamp_ns() + interval_ns / 2 < due_ns) return slot.queued;
    slot.last_emitted_ns = update.timestamp_ns();
    slot.queued = true;
    ready_.push_back(&slot);
    return true;
  }

  const OnReady& on_ready() const { return on_ready_; }

 private:
  struct Slot {
    MetricUpdate update;
    bool filled = false;
    bool queued = false;
    int64_t last_emitted_ns = 0;
  };

  bool Wants(const MetricUpdate& update) const {
    if (update.experiment_id().empty()) {
      return filter_.observes && filter_.observes(update.target_id());
    }
    return filter_.all || filter_.experiment_ids.contains(update.experiment_id());
  }

  void Merge(Slot& slot, const MetricUpdate& update) const {
    if (!slot.filled) {
      slot.update = update;
      slot.filled = true;
      if (!filter_.include_histogram) slot.update.clear_latency();
      return;
    }
    hub_->meters_.merged.Add();
    const uint64_t merged = slot.update.merged_batches() + 1;
    const uint64_t packets = slot.update.packets() + update.packets();
    const uint64_t bytes = slot.update.bytes() + update.bytes();
    SparseHistogram latency;
    if (filter_.include_histogram) {
      // Both went through a Window, which has refused what is not ours.
      Histogram both;
      both.Merge(slot.update.latency()).IgnoreError();
      both.Merge(update.latency()).IgnoreError();
      latency = both.ToSparse();
    }
    slot.update = update;
    slot.update.set_merged_batches(merged);
    slot.update.set_packets(packets);
    slot.update.set_bytes(bytes);
    *slot.update.mutable_latency() = std::move(latency);
    if (!filter_.include_histogram) slot.update.clear_latency();
  }

  MetricsHub* hub_;
  Filter filter_;
  const OnReady on_ready_;
  std::map<std::tuple<std::string, std::string, SourceKey>, Slot> slots_;
  std::deque<Slot*> ready_;
};

class MetricsHub::RelayImpl : public Relay {
 public:
  RelayImpl(MetricsHub* hub, std::function<void()> on_ready)
      : hub_(hub), on_ready_(MakeOnReady(std::move(on_ready))) {}
  ~RelayImpl() override {
    const std::lock_guard lock(hub_->mutex_);
    hub_->relays_.erase(this);
  }
  std::shared_ptr<const MetricsBatch> Next() override {
    const std::lock_guard lock(hub_->mutex_);
    if (queue_.empty()) return nullptr;
    auto batch = std::move(queue_.front());
    queue_.pop_front();
    return batch;
  }
  void Offer(std::shared_ptr<const MetricsBatch> batch) {
    if (queue_.size() >= kRelayLimit) {
      queue_.pop_front();
      hub_->meters_.relay_dropped.Add();
    }
    queue_.push_back(std::move(batch));
  }
  const OnReady& on_ready() const { return on_ready_; }

 private:
  MetricsHub* hub_;
  const OnReady on_ready_;
  std::deque<std::shared_ptr<const MetricsBatch>> queue_;
};

MetricsHub::MetricsHub() = default;
MetricsHub::~MetricsHub() = default;

bool MetricsHub::Ingest(const MetricsBatch& batch, bool relayed) {
  std::vector<OnReady> ready;
  if (!Take(batch, relayed, &ready)) {
    meters_.ignored.Add();
    return false;
  }
  (relayed ? meters_.from_nodes : meters_.from_agents).Add();
  for (const OnReady& on_ready : ready) (*on_ready)();
  return true;
}

bool MetricsHub::Take(const MetricsBatch& batch, bool relayed, std::vector<OnReady>* ready) {
  const std::lock_guard lock(mutex_);
  const auto& position = batch.position();
  auto& source = sources_[{position.agent_id(), position.incarnation()}];
  if (!source) source = std::make_unique<Source>();
  if (position.sequence() <= source->last_sequence) return false;
  source->last_sequence = position.sequence();
  source->last_ingest = ++ingested_;
  source->relayed = relayed;
  auto shared = std::make_shared<const MetricsBatch>(batch);
  Updates updates = source->windows.Add(batch);
  const auto interval_ns = static_cast<int64_t>(batch.interval_ns());
  for (SubscriptionImpl* subscription : subscriptions_) {
    bool any = false;
    for (const auto& update : updates) any |= subscription->Offer(*update, interval_ns);
    if (any) ready->push_back(subscription->on_ready());
  }
  if (!relayed) {
    for (RelayImpl* relay : relays_) {
      relay->Offer(shared);
      ready->push_back(relay->on_ready());
    }
  }
  source->history.push_back({std::move(shared), std::move(updates)});
  if (source->history.size() > kHistoryBatches) source->history.pop_front();
  ForgetOldSources();
  return true;
}

void MetricsHub::ForgetOldSources() {
  if (sources_.size() <= kSourceLimit) return;
  const auto oldest = std::min_element(sources_.begin(), sources_.end(), [](auto& a, auto& b) {
    return a.second->last_ingest < b.second->last_ingest;
  });
  sources_.erase(oldest);
}

std::unique_ptr<MetricsHub::Subscription> MetricsHub::Subscribe(Filter filter,
                                                                std::function<void()> on_ready) {
  const bool resumes = !filter.resume.empty();
  auto subscription =
      std::make_unique<SubscriptionImpl>(this, std::move(filter), std::move(on_ready));
  std::function<void()> observer;
  bool ready = false;
  {
    const std::lock_guard lock(mutex_);
    if (subscriptions_.empty()) observer = demand_observer_;
    subscriptions_.insert(subscription.get());
    if (resumes) {
      for (const auto& [key, source] : sources_) {
        for (const auto& entry : source->history) {
          const auto interval_ns = static_cast<int64_t>(entry.batch->interval_ns());
          for (const auto& update : entry.updates)
            ready |= subscription->Offer(*update, interval_ns);
        }
      }
    }
  }
  if (observer) observer();
  if (ready) (*subscription->on_ready())();
  return subscription;
}

std::unique_ptr<MetricsHub::Relay> MetricsHub::SubscribeRelay(std::function<void()> on_ready) {
  auto relay = std::make_unique<RelayImpl>(this, std::move(on_ready));
  bool ready = false;
  {
    const std::lock_guard lock(mutex_);
    relays_.insert(relay.get());
    for (const auto& [key, source] : sources_) {
      if (source->relayed) continue;
      for (const auto& entry : source->history) relay->Offer(entry.batch);
      ready |= !source->history.empty();
    }
  }
  if (ready) (*relay->on_ready())();
  return relay;
}

void MetricsHub::ObserveDemand(std::function<void()> observer) {
  const std::lock_guard lock(mutex_);
  demand_observer_ = std::move(observer);
}

size_t MetricsHub::subscribers() const {
  const std::lock_guard lock(mutex_);
  return subscriptions_.size();
}

}  // namespace faultline::server
