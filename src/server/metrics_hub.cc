#include "server/metrics_hub.h"

#include <algorithm>
#include <iterator>

#include "base/clock.h"
#include "server/metric_slot.h"

namespace faultline::server {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;

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
  uint64_t history_ns = 0;

  void Keep(Entry entry) {
    history_ns += entry.batch->interval_ns();
    history.push_back(std::move(entry));
    while (
        history.size() > kHistoryBatches ||
        (history.size() > 1 && history_ns - history.front().batch->interval_ns() >= kHistoryNs)) {
      history_ns -= history.front().batch->interval_ns();
      history.pop_front();
    }
  }
};

namespace {

// Below so many series a subscriber forgets none.
constexpr size_t kLeastSeries = 1'024;

SharedUpdate WithPlain(const std::shared_ptr<const MetricUpdate>& full) {
  auto plain = std::make_shared<MetricUpdate>(*full);
  ClearBuckets(plain.get());
  return {full, std::move(plain)};
}

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

  Update Next() override {
    const std::lock_guard lock(hub_->mutex_);
    if (ready_.empty()) return nullptr;
    Slot& slot = *ready_.front();
    ready_.pop_front();
    slot.queued = false;
    hub_->meters_.updates.Add();
    return slot.waiting.Take(filter_.include_histogram);
  }

  // Result: true when something became ready.
  bool Offer(const SharedUpdate& offered, uint64_t now_ns) {
    const MetricUpdate& update = *offered.full;
    if (!Wants(update)) return false;
    const auto& position = update.position();
    const SourceKey source{position.agent_id(), position.incarnation()};
    const auto resumed = filter_.resume.find(source);
    if (resumed != filter_.resume.end() && position.sequence() <= resumed->second) return false;
    ForgetSilentSeries(now_ns);
    Slot& slot = slots_[{update.experiment_id(), update.target_id(), source}];
    slot.offered_ns = now_ns;
    if (slot.waiting.Add(offered)) hub_->meters_.merged.Add();
    // Half an interval of slack: batches do not come exactly on time.
    const auto due_ns = slot.last_emitted_ns + static_cast<int64_t>(1e9 / filter_.rate_hz);
    const auto slack_ns = static_cast<int64_t>(update.interval_ns() / 2);
    if (slot.queued || update.timestamp_ns() + slack_ns < due_ns) return slot.queued;
    slot.last_emitted_ns = update.timestamp_ns();
    slot.queued = true;
    ready_.push_back(&slot);
    return true;
  }

  const OnReady& on_ready() const { return on_ready_; }

 private:
  struct Slot {
    MetricSlot waiting;
    bool queued = false;
    int64_t last_emitted_ns = 0;  // by the agent's clock
    uint64_t offered_ns = 0;
  };

  bool Wants(const MetricUpdate& update) const {
    if (update.experiment_id().empty()) {
      return filter_.observes && filter_.observes(update.target_id());
    }
    return filter_.all || filter_.experiment_ids.contains(update.experiment_id());
  }

  // Looks when the series have doubled.
  void ForgetSilentSeries(uint64_t now_ns) {
    if (slots_.size() < look_at_) return;
    std::erase_if(slots_, [now_ns](const auto& entry) {
      return !entry.second.queued && entry.second.offered_ns + kSilentSeriesNs < now_ns;
    });
    look_at_ = std::max(kLeastSeries, 2 * slots_.size());
  }

  MetricsHub* hub_;
  Filter filter_;
  const OnReady on_ready_;
  std::map<std::tuple<std::string, std::string, SourceKey>, Slot> slots_;
  std::deque<Slot*> ready_;
  size_t look_at_ = kLeastSeries;  // series
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
    return Pop();
  }
  void Offer(std::shared_ptr<const MetricsBatch> batch) {
    bytes_ += batch->SpaceUsedLong();
    queue_.push_back(std::move(batch));
    while (bytes_ > kRelayBytes && queue_.size() > 1) {
      Pop();
      hub_->meters_.relay_dropped.Add();
    }
  }
  const OnReady& on_ready() const { return on_ready_; }

 private:
  std::shared_ptr<const MetricsBatch> Pop() {
    auto batch = std::move(queue_.front());
    queue_.pop_front();
    bytes_ -= batch->SpaceUsedLong();
    return batch;
  }

  MetricsHub* hub_;
  const OnReady on_ready_;
  std::deque<std::shared_ptr<const MetricsBatch>> queue_;
  size_t bytes_ = 0;  // of the batches in it
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
  const uint64_t missed =
      source->last_sequence == 0 ? 0 : position.sequence() - source->last_sequence - 1;
  meters_.missed.Add(missed);
  source->last_sequence = position.sequence();
  source->last_ingest = ++ingested_;
  source->relayed = relayed;
  auto shared = std::make_shared<const MetricsBatch>(batch);
  Updates updates = source->windows.Add(batch, missed);
  // First the other nodes: theirs have a longer way.
  if (!relayed) {
    for (RelayImpl* relay : relays_) {
      relay->Offer(shared);
      ready->push_back(relay->on_ready());
    }
  }
  std::vector<SharedUpdate> offers;
  if (!subscriptions_.empty()) {
    std::transform(updates.begin(), updates.end(), std::back_inserter(offers), WithPlain);
  }
  const uint64_t now_ns = MonotonicNowNs();
  for (SubscriptionImpl* subscription : subscriptions_) {
    bool any = false;
    for (const auto& offer : offers) any |= subscription->Offer(offer, now_ns);
    if (any) ready->push_back(subscription->on_ready());
  }
  source->Keep({std::move(shared), std::move(updates)});
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
          for (const auto& update : entry.updates) {
            ready |= subscription->Offer(WithPlain(update), MonotonicNowNs());
          }
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
