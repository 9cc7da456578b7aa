// Who takes from a metrics hub: its subscriptions and relays. For metrics_hub.cc only; guarded by
// the hub's mutex.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <utility>

#include "base/clock.h"
#include "server/metrics_hub.h"

namespace faultline::server {

class MetricsHub::SubscriptionImpl : public Subscription {
 public:
  SubscriptionImpl(MetricsHub* hub, Filter filter, std::function<void()> on_ready)
      : hub_(hub),
        queue_(std::move(filter)),
        on_ready_(std::make_shared<const std::function<void()>>(std::move(on_ready))) {}

  ~SubscriptionImpl() override {
    std::function<void()> observer;
    {
      const std::lock_guard lock(hub_->mutex_);
      hub_->subscriptions_.erase(this);
      if (hub_->demand_.Remove(queue_.filter())) observer = hub_->demand_observer_;
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
    std::function<void()> observer;
    {
      const std::lock_guard lock(hub_->mutex_);
      if (hub_->demand_.Remove(queue_.filter())) observer = hub_->demand_observer_;
      queue_.End(last);
      hub_->demand_.Add(queue_.filter());
    }
    if (observer) observer();
    (*on_ready_)();
  }

  // It is offered what was ingested after `ingested`, and all of the sources that it resumes.
  void Begin(uint64_t ingested) { since_ = ingested; }
  // Whether it has been offered the source's batch of that `last_ingest`.
  bool WasOffered(const SourceKey& source, uint64_t ingest) {
    if (without_.erase(source) > 0) return false;
    return ingest > since_ || queue_.Resumes(source);
  }
  // Of this source, which it resumes, nothing is kept any more.
  void BeginWithout(const SourceKey& source) { without_.insert(source); }

  bool Offer(const MetricQueue::Batch& batch) {
    return queue_.Offer(batch, MonotonicNowNs(), &hub_->meters_.merged);
  }
  const MetricQueue& queue() const { return queue_; }
  const OnReady& on_ready() const { return on_ready_; }

 private:
  MetricsHub* hub_;
  MetricQueue queue_;
  const OnReady on_ready_;
  uint64_t since_ = 0;
  std::set<SourceKey> without_;
};

class MetricsHub::RelayImpl : public Relay {
 public:
  RelayImpl(MetricsHub* hub, std::function<void()> on_ready)
      : hub_(hub), on_ready_(std::make_shared<const std::function<void()>>(std::move(on_ready))) {}
  ~RelayImpl() override {
    const std::lock_guard lock(hub_->mutex_);
    hub_->relays_.erase(this);
  }
  std::shared_ptr<const chaos::v1::MetricsBatch> Next() override {
    const std::lock_guard lock(hub_->mutex_);
    if (queue_.empty()) return nullptr;
    hub_->meters_.to_nodes.Add();
    return Pop();
  }
  void Want(AgentSet agents) override {
    if (OfferHistory(std::move(agents))) (*on_ready_)();
  }
  bool Wants(const std::string& agent_id) const { return agents_.Contains(agent_id); }
  void Offer(std::shared_ptr<const chaos::v1::MetricsBatch> batch) {
    bytes_ += batch->SpaceUsedLong();
    queue_.push_back(std::move(batch));
    while (bytes_ > kRelayBytes && queue_.size() > 1) {
      Pop();
      hub_->meters_.relay_dropped.Add();
    }
  }
  const OnReady& on_ready() const { return on_ready_; }

 private:
  // Result: whether there was one.
  bool OfferHistory(AgentSet agents) {
    const std::lock_guard lock(hub_->mutex_);
    const AgentSet before = std::exchange(agents_, std::move(agents));
    const uint64_t now_ns = MonotonicNowNs();
    bool any = false;
    for (const auto& [key, source] : hub_->sources_) {
      const bool begins = Wants(key.first) && !before.Contains(key.first);
      if (!begins || source->relayed || source->IsSilent(now_ns)) continue;
      for (const auto& entry : source->history) Offer(entry.batch);
      any |= !source->history.empty();
    }
    return any;
  }
  std::shared_ptr<const chaos::v1::MetricsBatch> Pop() {
    auto batch = std::move(queue_.front());
    queue_.pop_front();
    bytes_ -= batch->SpaceUsedLong();
    return batch;
  }

  MetricsHub* hub_;
  const OnReady on_ready_;
  AgentSet agents_;
  std::deque<std::shared_ptr<const chaos::v1::MetricsBatch>> queue_;
  size_t bytes_ = 0;  // of the batches in it
};

}  // namespace faultline::server
