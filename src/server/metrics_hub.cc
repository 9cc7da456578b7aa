#include "server/metrics_hub.h"

#include <algorithm>
#include <iterator>

#include "base/clock.h"

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
  uint64_t last_passed_on = 0;  // to the relays
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

SharedUpdate WithPlain(const std::shared_ptr<const MetricUpdate>& full) {
  auto plain = std::make_shared<MetricUpdate>(*full);
  ClearBuckets(plain.get());
  return {full, std::move(plain)};
}

std::vector<SharedUpdate> Share(const TargetWindows::Updates& updates) {
  std::vector<SharedUpdate> shared;
  std::transform(updates.begin(), updates.end(), std::back_inserter(shared), WithPlain);
  return shared;
}

auto MakeOnReady(std::function<void()> on_ready) {
  return std::make_shared<const std::function<void()>>(std::move(on_ready));
}

}  // namespace

// Guarded by the hub's mutex.
class MetricsHub::SubscriptionImpl : public Subscription {
 public:
  SubscriptionImpl(MetricsHub* hub, Filter filter, std::function<void()> on_ready)
      : hub_(hub), queue_(std::move(filter)), on_ready_(MakeOnReady(std::move(on_ready))) {}

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
    Update next = queue_.Next();
    if (next) hub_->meters_.updates.Add();
    return next;
  }

  void End(const Update& last) override {
    {
      const std::lock_guard lock(hub_->mutex_);
      queue_.End(last);
    }
    (*on_ready_)();
  }

  // It is offered what is ingested after `ingested`, and what is kept when it resumes.
  void Begin(uint64_t ingested) { since_ = ingested; }
  // Whether it has been offered the batch of that `Source::last_ingest`.
  bool WasOffered(uint64_t ingest) const { return queue_.resumes() || ingest > since_; }

  bool Offer(const MetricQueue::Batch& batch) {
    return queue_.Offer(batch, MonotonicNowNs(), &hub_->meters_.merged);
  }
  bool resumes() const { return queue_.resumes(); }
  const OnReady& on_ready() const { return on_ready_; }

 private:
  MetricsHub* hub_;
  MetricQueue queue_;
  const OnReady on_ready_;
  uint64_t since_ = 0;
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
  const bool taken = Take(batch, relayed, &ready);
  (!taken ? meters_.ignored : relayed ? meters_.from_nodes : meters_.from_agents).Add();
  for (const OnReady& on_ready : ready) (*on_ready)();
  return taken;
}

// What came by another node may not have reached all the others before that one died.
void MetricsHub::PassOn(const std::shared_ptr<const MetricsBatch>& batch, Source* source,
                        std::vector<OnReady>* ready) {
  source->last_passed_on = batch->position().sequence();
  for (RelayImpl* relay : relays_) {
    relay->Offer(batch);
    ready->push_back(relay->on_ready());
  }
}

bool MetricsHub::Take(const MetricsBatch& batch, bool relayed, std::vector<OnReady>* ready) {
  const std::lock_guard lock(mutex_);
  const auto& position = batch.position();
  const SourceKey key{position.agent_id(), position.incarnation()};
  auto& source = sources_[key];
  if (!source) source = std::make_unique<Source>();
  const bool is_new = position.sequence() > source->last_sequence;
  const bool passed_on = relayed || position.sequence() <= source->last_passed_on;
  if (!is_new && passed_on) return false;
  auto shared = std::make_shared<const MetricsBatch>(batch);
  // First the other nodes: theirs have a longer way.
  if (!passed_on) PassOn(shared, source.get(), ready);
  source->relayed = relayed;
  if (!is_new) return false;
  const uint64_t missed =
      source->last_sequence == 0 ? 0 : position.sequence() - source->last_sequence - 1;
  meters_.missed.Add(missed);
  const uint64_t before = std::exchange(source->last_sequence, position.sequence());
  const uint64_t before_ingest = std::exchange(source->last_ingest, ++ingested_);
  Updates updates = source->windows.Add(batch, missed);
  std::vector<SharedUpdate> offers;
  if (!subscriptions_.empty()) offers = Share(updates);
  for (SubscriptionImpl* subscription : subscriptions_) {
    const uint64_t offered = subscription->WasOffered(before_ingest) ? before : 0;
    if (subscription->Offer({key, offered, position.sequence(), offers})) {
      ready->push_back(subscription->on_ready());
    }
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
  auto subscription =
      std::make_unique<SubscriptionImpl>(this, std::move(filter), std::move(on_ready));
  std::function<void()> observer;
  bool ready = false;
  {
    const std::lock_guard lock(mutex_);
    if (subscriptions_.empty()) observer = demand_observer_;
    subscriptions_.insert(subscription.get());
    subscription->Begin(ingested_);
    if (subscription->resumes()) ready = OfferHistory(subscription.get());
  }
  if (observer) observer();
  if (ready) (*subscription->on_ready())();
  return subscription;
}

bool MetricsHub::OfferHistory(SubscriptionImpl* subscription) {
  bool ready = false;
  for (const auto& [key, source] : sources_) {
    uint64_t before = 0;
    for (const auto& entry : source->history) {
      const uint64_t sequence = entry.batch->position().sequence();
      ready |= subscription->Offer({key, before, sequence, Share(entry.updates)});
      before = sequence;
    }
  }
  return ready;
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
