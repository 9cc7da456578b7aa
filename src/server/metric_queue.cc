#include "server/metric_queue.h"

#include <algorithm>

namespace faultline::server {

using chaos::v1::MetricUpdate;

namespace {

// The subscriber may have missed more than this node, or less.
SharedUpdate WithMissed(const SharedUpdate& update, uint64_t missed) {
  if (update.full->missed_batches() == missed) return update;
  auto full = std::make_shared<MetricUpdate>(*update.full);
  auto plain = std::make_shared<MetricUpdate>(*update.plain);
  full->set_missed_batches(missed);
  plain->set_missed_batches(missed);
  return {std::move(full), std::move(plain)};
}

}  // namespace

MetricQueue::MetricQueue(MetricFilter filter)
    : filter_(std::move(filter)), resumes_(!filter_.resume.empty()) {}

bool MetricQueue::Offer(const Batch& batch, uint64_t now_ns, Counter* merged) {
  const auto resumed = filter_.resume.find(batch.source);
  const uint64_t has = resumed == filter_.resume.end() ? 0 : resumed->second;
  if (batch.sequence <= has) return false;
  bool any = false;
  for (const auto& update : batch.updates) {
    if (!Wants(*update.full)) continue;
    const uint64_t reached = std::max({batch.before, has, Has(batch, *update.full)});
    if (batch.sequence <= reached) continue;
    const uint64_t missed = reached == 0 ? 0 : batch.sequence - reached - 1;
    any |= OfferOne(batch.source, WithMissed(update, missed), now_ns, merged);
  }
  return any;
}

std::shared_ptr<const MetricUpdate> MetricQueue::Next() {
  if (ready_.empty()) return nullptr;
  Slot& slot = *ready_.front();
  ready_.pop_front();
  slot.queued = false;
  return slot.waiting.Take(filter_.include_histogram);
}

void MetricQueue::End(const std::shared_ptr<const MetricUpdate>& last) {
  const std::string& id = *ended_.insert(last->experiment_id()).first;
  filter_.experiment_ids.erase(id);
  const std::tuple first(id, std::string(), std::string(), uint64_t{0});
  for (auto entry = slots_.lower_bound(first);
       entry != slots_.end() && std::get<0>(entry->first) == id; ++entry) {
    Slot& slot = entry->second;
    if (!slot.queued && !slot.waiting.empty()) Queue(&slot);
  }
  Slot& end = slots_[first];
  end.waiting.Add({last, last});
  Queue(&end);
}

bool MetricQueue::Wants(const MetricUpdate& update) const {
  if (ended_.contains(update.experiment_id())) return false;
  if (update.experiment_id().empty()) {
    return filter_.observes && filter_.observes(update.target_id());
  }
  return filter_.all || filter_.experiment_ids.contains(update.experiment_id());
}

uint64_t MetricQueue::Has(const Batch& batch, const MetricUpdate& update) {
  auto& ahead = filter_.resume_series;
  if (ahead.empty()) return 0;
  const auto found = ahead.find(std::tie(update.experiment_id(), update.target_id(),
                                         batch.source.first, batch.source.second));
  if (found == ahead.end()) return 0;
  const uint64_t has = found->second;
  if (batch.sequence > has) ahead.erase(found);
  return has;
}

bool MetricQueue::OfferOne(const SourceKey& source, const SharedUpdate& offered, uint64_t now_ns,
                           Counter* merged) {
  const MetricUpdate& update = *offered.full;
  ForgetSilentSeries(now_ns);
  const auto key =
      std::tie(update.experiment_id(), update.target_id(), source.first, source.second);
  auto found = slots_.find(key);
  if (found == slots_.end()) found = slots_.try_emplace(key).first;
  Slot& slot = found->second;
  slot.offered_ns = now_ns;
  if (slot.waiting.Add(offered)) merged->Add();
  if (slot.queued || !IsDue(slot, update)) return slot.queued;
  slot.last_emitted_ns = update.timestamp_ns();
  Queue(&slot);
  return true;
}

bool MetricQueue::IsDue(const Slot& slot, const MetricUpdate& update) const {
  // Half an interval of slack: batches do not come exactly on time.
  const auto slack_ns = static_cast<int64_t>(update.interval_ns() / 2);
  constexpr double kDecadesNs = 1e18;
  const double pause_ns = std::min(1e9 / filter_.rate_hz, kDecadesNs);
  const auto due_ns = slot.last_emitted_ns + static_cast<int64_t>(pause_ns);
  const bool clock_went_back = update.timestamp_ns() < slot.last_emitted_ns;
  return clock_went_back || update.timestamp_ns() + slack_ns >= due_ns;
}

void MetricQueue::Queue(Slot* slot) {
  slot->queued = true;
  ready_.push_back(slot);
}

// Looks when the series have doubled. What still waits for its turn in one is given out first.
void MetricQueue::ForgetSilentSeries(uint64_t now_ns) {
  if (slots_.size() < look_at_) return;
  for (auto entry = slots_.begin(); entry != slots_.end();) {
    Slot& slot = entry->second;
    const bool silent = slot.offered_ns + kSilentSeriesNs < now_ns;
    if (silent && slot.waiting.empty()) {
      entry = slots_.erase(entry);
      continue;
    }
    if (silent && !slot.queued) Queue(&slot);
    ++entry;
  }
  look_at_ = std::max(kLeastSeries, 2 * slots_.size());
}

}  // namespace faultline::server
