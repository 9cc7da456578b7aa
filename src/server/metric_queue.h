// What waits for one subscriber to metrics: a slot for each series (experiment, target and source),
// and the order in which they are due. A slow subscriber and a low rate get merged updates, so it
// is bounded by the number of series.
//
// Every batch of a source after the first that was offered is in an update that is given out: as
// itself, in merged_batches, or in missed_batches.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/meter.h"
#include "server/metric_slot.h"

namespace faultline::server {

struct MetricFilter {
  bool all = false;
  std::set<std::string> experiment_ids;
  // Targets observed with or without an experiment; empty function: none. Called with the hub
  // locked.
  std::function<bool(const std::string& target_id)> observes;
  std::string target;  // their selector
  double rate_hz = 10;
  bool include_histogram = false;
  // By agent id and incarnation: the last sequence that the subscriber has.
  std::map<std::pair<std::string, uint64_t>, uint64_t> resume;
  // By experiment, target, agent id and incarnation, of series that are further.
  std::map<std::tuple<std::string, std::string, std::string, uint64_t>, uint64_t, std::less<>>
      resume_series;
};

// Not thread-safe.
class MetricQueue {
 public:
  // A series that nothing has come of for so long is forgotten.
  static constexpr uint64_t kSilentSeriesNs = 60'000'000'000;
  // With fewer of them none is.
  static constexpr size_t kLeastSeries = 1'024;
  using SourceKey = std::pair<std::string, uint64_t>;

  // One batch of a source, as updates.
  struct Batch {
    const SourceKey& source;
    uint64_t before;  // sequence of the one offered before; 0: none
    uint64_t sequence;
    const std::vector<SharedUpdate>& updates;
  };

  explicit MetricQueue(MetricFilter filter);

  // Takes what the filter wants; updates merged with what waited are added to `merged`. A source's
  // batches come in their order. Result: true when there is a next one.
  bool Offer(const Batch& batch, uint64_t now_ns, Counter* merged);
  // Null when nothing is due.
  std::shared_ptr<const chaos::v1::MetricUpdate> Next();
  // What `last` names as its experiment has ended: nothing more of that is taken, all that waits of
  // it is due, and then `last`, as it is. Once for each experiment.
  void End(const std::shared_ptr<const chaos::v1::MetricUpdate>& last);
  bool resumes() const { return resumes_; }
  bool Resumes(const SourceKey& source) const { return filter_.resume.contains(source); }
  // Without the experiments that have ended.
  const MetricFilter& filter() const { return filter_; }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::min() / 2;
  struct Slot {
    MetricSlot waiting;
    bool queued = false;
    int64_t last_emitted_ns = kNever;  // by the agent's clock
    uint64_t offered_ns = 0;
  };

  bool Wants(const chaos::v1::MetricUpdate& update) const;
  // Sequence of the newest update of the series that the subscriber has, while what is offered may
  // be older; else 0.
  uint64_t Has(const Batch& batch, const chaos::v1::MetricUpdate& update);
  bool OfferOne(const SourceKey& source, const SharedUpdate& offered, uint64_t now_ns,
                Counter* merged);
  bool IsDue(const Slot& slot, const chaos::v1::MetricUpdate& update) const;
  void Queue(Slot* slot);
  void ForgetSilentSeries(uint64_t now_ns);

  MetricFilter filter_;
  const bool resumes_;
  std::set<std::string> ended_;  // experiments
  // By experiment, target, and agent with its incarnation; also found by references to them.
  std::map<std::tuple<std::string, std::string, std::string, uint64_t>, Slot, std::less<>> slots_;
  std::deque<Slot*> ready_;
  size_t look_at_ = kLeastSeries;  // series
};

}  // namespace faultline::server
