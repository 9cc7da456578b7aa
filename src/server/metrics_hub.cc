#include "server/metrics_hub.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "server/metrics_hub_takers.h"
#include "server/validation.h"

namespace faultline::server {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;

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

}  // namespace

MetricsHub::MetricsHub() = default;
MetricsHub::~MetricsHub() = default;

bool MetricsHub::Ingest(const MetricsBatch& batch, bool relayed) {
  if (const Status status = Validate(batch); !status.ok()) return Refuse(batch, status);
  std::vector<OnReady> ready;
  const bool taken = Take(batch, relayed, &ready);
  (!taken ? meters_.ignored : relayed ? meters_.from_nodes : meters_.from_agents).Add();
  for (const OnReady& on_ready : ready) (*on_ready)();
  return taken;
}

bool MetricsHub::Refuse(const MetricsBatch& batch, const Status& why) {
  meters_.refused.Add();
  const uint64_t count = meters_.refused.value();
  if (IsWorthALine(count)) {
    FL_LOG(warn, "refused measurements of agent '{}': {} ({} times)", batch.position().agent_id(),
           ToString(why.message()), count);
  }
  return false;
}

// What came by another node may not have reached all the others before that one died.
void MetricsHub::PassOn(const std::shared_ptr<const MetricsBatch>& batch, MetricSource* source,
                        std::vector<OnReady>* ready) {
  source->last_passed_on = batch->position().sequence();
  for (RelayImpl* relay : relays_) {
    if (!relay->Wants(batch->position().agent_id())) continue;
    relay->Offer(batch);
    ready->push_back(relay->on_ready());
  }
}

bool MetricsHub::Take(const MetricsBatch& batch, bool relayed, std::vector<OnReady>* ready) {
  const std::lock_guard lock(mutex_);
  const auto& position = batch.position();
  const SourceKey key{position.agent_id(), position.incarnation()};
  auto& source = sources_[key];
  if (!source) source = std::make_unique<MetricSource>();
  const bool is_new = position.sequence() > source->last_sequence;
  const bool passed_on = relayed || position.sequence() <= source->last_passed_on;
  if (!is_new && passed_on) return false;
  auto shared = std::make_shared<const MetricsBatch>(batch);
  // First the other nodes: theirs have a longer way.
  if (!passed_on) PassOn(shared, source.get(), ready);
  source->relayed = relayed;
  if (!is_new) return false;
  const uint64_t before = std::exchange(source->last_sequence, position.sequence());
  uint64_t before_ingest = std::exchange(source->last_ingest, ++ingested_);
  source->last_ns = MonotonicNowNs();
  uint64_t missed = before == 0 ? 0 : position.sequence() - before - 1;
  if (std::exchange(source->may_jump, false) && missed > 0) {
    source->BeginAnew();
    before_ingest = missed = 0;
  }
  meters_.missed.Add(missed);
  const bool follows = before + 1 == position.sequence();
  const auto totals = totals_.Add(batch, follows, source->last_ns);
  TargetWindows::Updates updates = source->windows.Add(batch, missed, totals);
  std::vector<SharedUpdate> offers;
  if (!subscriptions_.empty()) offers = Share(updates);
  for (SubscriptionImpl* subscription : subscriptions_) {
    const uint64_t offered = subscription->WasOffered(key, before_ingest) ? before : 0;
    if (subscription->Offer({key, offered, position.sequence(), offers})) {
      ready->push_back(subscription->on_ready());
    }
  }
  source->Keep({std::move(shared), std::move(updates)});
  ForgetOldSources();
  ForgetSilentHistory(source->last_ns);
  return true;
}

// Of the many starts of agents that are no more.
void MetricsHub::ForgetSilentHistory(uint64_t now_ns) {
  if (now_ns < looked_ns_ + kNanosPerSecond) return;
  looked_ns_ = now_ns;
  for (const auto& [key, kept] : sources_) {
    if (kept->IsSilent(now_ns) && !kept->history.empty()) kept->BeginAnew();
  }
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
    if (demand_.Add(subscription->queue().filter())) observer = demand_observer_;
    subscriptions_.insert(subscription.get());
    subscription->Begin(ingested_);
    if (subscription->queue().resumes()) ready = OfferHistory(subscription.get());
  }
  if (observer) observer();
  if (ready) (*subscription->on_ready())();
  return subscription;
}

bool MetricsHub::OfferHistory(SubscriptionImpl* subscription) {
  bool ready = false;
  const uint64_t now_ns = MonotonicNowNs();
  uint64_t silent = 0;  // ingests of those that are left out
  for (const auto& [key, source] : sources_) {
    if (source->IsSilent(now_ns) && !subscription->queue().Resumes(key)) {
      silent = std::max(silent, source->last_ingest);
      continue;
    }
    uint64_t before = 0;
    if (source->history.empty()) subscription->BeginWithout(key);
    for (const auto& entry : source->history) {
      const uint64_t sequence = entry.batch->position().sequence();
      ready |= subscription->Offer({key, before, sequence, Share(entry.updates)});
      before = sequence;
    }
  }
  subscription->Begin(silent);
  return ready;
}

std::unique_ptr<MetricsHub::Relay> MetricsHub::SubscribeRelay(std::function<void()> on_ready) {
  auto relay = std::make_unique<RelayImpl>(this, std::move(on_ready));
  const std::lock_guard lock(mutex_);
  relays_.insert(relay.get());
  return relay;
}

void MetricsHub::ObserveDemand(std::function<void()> observer) {
  const std::lock_guard lock(mutex_);
  demand_observer_ = std::move(observer);
}

MetricDemand MetricsHub::demand() const {
  const std::lock_guard lock(mutex_);
  return demand_;
}

void MetricsHub::Follow(AgentSet agents) {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, source] : sources_) {
    source->may_jump |= agents.Contains(key.first) != followed_.Contains(key.first);
  }
  followed_ = std::move(agents);
}

AgentSet MetricsHub::followed() const {
  const std::lock_guard lock(mutex_);
  return followed_;
}

uint64_t MetricsHub::ingested() const {
  const std::lock_guard lock(mutex_);
  return ingested_;
}

bool MetricsHub::HasAllOf(const std::string& experiment_id, const std::set<std::string>& agents,
                          uint64_t ingested) const {
  const std::lock_guard lock(mutex_);
  return std::all_of(agents.begin(), agents.end(), [&](const std::string& agent) {
    const auto first = sources_.lower_bound({agent, 0});
    const auto last = sources_.upper_bound({agent, UINT64_MAX});
    return std::any_of(first, last, [&](const auto& entry) {
      const MetricSource& source = *entry.second;
      return source.last_ingest > ingested && source.IsWithout(experiment_id);
    });
  });
}

size_t MetricsHub::subscribers() const {
  const std::lock_guard lock(mutex_);
  return subscriptions_.size();
}

}  // namespace faultline::server
