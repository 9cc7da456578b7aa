// Where the agents' batches become every subscriber's updates. One per controller node; other
// nodes' batches come in by relay. Nothing here passes through Raft, and nothing is unbounded: a
// subscriber that is slow, or wants a lower rate, gets merged updates, one slot per experiment,
// target and source.
//
// Threads: every method may be called from any thread. Callbacks are called without a lock held,
// from the thread that ingests, and must not block; they may call Next(). One may still be called
// while its subscription is destroyed, or just after.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/meter.h"
#include "base/status.h"
#include "chaos/v1/metrics.pb.h"
#include "server/agent_set.h"
#include "server/metric_demand.h"
#include "server/metric_queue.h"
#include "server/metric_source.h"
#include "server/metric_totals.h"

namespace faultline::server {

class MetricsHub {
 public:
  // What a relay may lag behind: seconds of thousands of agents. Beyond that its oldest batches are
  // dropped, and counted; the sequence shows it.
  static constexpr size_t kRelayBytes = 16 << 20;
  // Sources kept without a batch: forgotten, oldest first, beyond this many. More than the agents
  // that one node may have (Gates::agents).
  static constexpr size_t kSourceLimit = 20'000;

  using Filter = MetricFilter;

  class Subscription {
   public:
    virtual ~Subscription() = default;  // ends the subscription
    // The next update, or null: on_ready will then be called when there is one.
    virtual std::shared_ptr<const chaos::v1::MetricUpdate> Next() = 0;
    // Nothing more of the experiment that `last` names comes in; what waits of it, for a slow taker
    // or for a low rate, becomes ready, and after it `last`. Once for each experiment.
    virtual void End(const std::shared_ptr<const chaos::v1::MetricUpdate>& last) = 0;
  };
  class Relay {
   public:
    virtual ~Relay() = default;
    // From now on it has these agents' batches; of those that it had not before, what is kept comes
    // first.
    virtual void Want(AgentSet agents) = 0;
    virtual std::shared_ptr<const chaos::v1::MetricsBatch> Next() = 0;  // nullptr: nothing now
  };

  // Any thread.
  struct Meters {
    Counter from_agents, from_nodes;  // batches taken
    Counter ignored;                  // batches that had come before
    Counter refused;                  // batches with more than an agent can measure (validation.h)
    Counter updates;                  // taken by subscribers
    Counter merged;                   // batches merged into a slot that was waiting
    Counter missed;                   // batches that never came, by their sources' sequences
    Counter to_nodes;                 // batches that relays took
    Counter relay_dropped;            // batches that a relay was too slow for
  };

  MetricsHub();
  ~MetricsHub();

  // What an agent connected to this node measured, or (`relayed`) what another node passes on.
  // A batch at or before its source's last sequence is ignored: agents send again after a
  // reconnect, and relays may overlap. Other nodes are still given it when it comes by its agent
  // and came by another node before: that one may have died before it told them all. One that says
  // more than an agent can measure is refused. Result: whether it was taken.
  bool Ingest(const chaos::v1::MetricsBatch& batch, bool relayed);

  // Updates kept for those who resume come first, then live ones. What lies between where they
  // stood and what is kept counts as missed. A source that they name no position of begins with
  // what is kept, unless it has been silent for longer. The hub must outlive the result.
  std::unique_ptr<Subscription> Subscribe(Filter filter, std::function<void()> on_ready);

  // This node's agents' batches for another node: none until it says whose.
  std::unique_ptr<Relay> SubscribeRelay(std::function<void()> on_ready);

  // `observer` runs whenever demand() has changed: what relays from other nodes are told by. Set
  // once, before traffic.
  void ObserveDemand(std::function<void()> observer);
  MetricDemand demand() const;
  // Whose batches other nodes are asked for from now on. Where a source goes on after it was not
  // followed, nothing is missed but by those who have a position of it.
  void Follow(AgentSet agents);
  AgentSet followed() const;

  // Batches taken so far.
  uint64_t ingested() const;
  // Whether each of the agents has sent a batch after that many without a fault of the experiment:
  // then all that they measured of it has come.
  bool HasAllOf(const std::string& experiment_id, const std::set<std::string>& agents,
                uint64_t ingested) const;

  size_t subscribers() const;
  const Meters& meters() const { return meters_; }

 private:
  using SourceKey = MetricQueue::SourceKey;
  using OnReady = std::shared_ptr<const std::function<void()>>;
  using Update = std::shared_ptr<const chaos::v1::MetricUpdate>;
  class SubscriptionImpl;
  class RelayImpl;

  // Result: false.
  bool Refuse(const chaos::v1::MetricsBatch& batch, const Status& why);
  bool Take(const chaos::v1::MetricsBatch& batch, bool relayed, std::vector<OnReady>* ready);
  void PassOn(const std::shared_ptr<const chaos::v1::MetricsBatch>& batch, MetricSource* source,
              std::vector<OnReady>* ready);
  // Result: true when something became ready.
  bool OfferHistory(SubscriptionImpl* subscription);
  void ForgetOldSources();
  void ForgetSilentHistory(uint64_t now_ns);

  mutable std::mutex mutex_;
  std::map<SourceKey, std::unique_ptr<MetricSource>> sources_;
  uint64_t ingested_ = 0;
  uint64_t looked_ns_ = 0;  // when silent sources were looked for
  std::set<SubscriptionImpl*> subscriptions_;
  MetricDemand demand_;
  AgentSet followed_;
  std::set<RelayImpl*> relays_;
  std::function<void()> demand_observer_;
  MetricTotals totals_;
  Meters meters_;
};

}  // namespace faultline::server
