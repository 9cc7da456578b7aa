#include "server/metric_slot.h"

#include <algorithm>
#include <utility>

#include "base/fault_delays.h"
#include "base/histogram.h"
#include "base/traffic.h"
#include "server/target_windows.h"

namespace faultline::server {

using chaos::v1::MetricUpdate;
using chaos::v1::SparseHistogram;
using chaos::v1::TrafficDetail;

void ClearBuckets(MetricUpdate* update) {
  update->clear_latency();
  if (update->has_traffic()) ClearHistograms(update->mutable_traffic());
  for (auto& delays : *update->mutable_fault_delays()) delays.clear_given();
}

bool MetricSlot::Add(const SharedUpdate& update) {
  const int64_t drops_before = std::exchange(last_drops_, update.full->packet_drops());
  if (empty()) {
    waiting_ = update;
    drops_before_ = drops_before < 0 ? update.full->packet_drops() : drops_before;
    return false;
  }
  if (!merged_) merged_ = std::make_unique<MetricUpdate>(*waiting_.full);
  waiting_ = {};
  const MetricUpdate& newer = *update.full;
  SparseHistogram latency = std::move(*merged_->mutable_latency());
  // Both went through a window, which has refused what is not ours.
  MergeSparse(newer.latency(), &latency).IgnoreError();
  TrafficDetail traffic = merged_->traffic();
  MergeTraffic(newer.traffic(), &traffic);
  FaultDelaysList delays = merged_->fault_delays();
  MergeDelays(newer.fault_delays(), &delays);
  const uint64_t merged = merged_->merged_batches() + 1;
  const uint64_t missed = merged_->missed_batches() + newer.missed_batches();
  const uint64_t packets = merged_->packets() + newer.packets();
  const uint64_t bytes = merged_->bytes() + newer.bytes();
  const uint64_t interval_ns = merged_->interval_ns() + newer.interval_ns();
  const bool measurable = merged_->measurable() && newer.measurable();
  std::string reason = newer.not_measurable_reason().empty() ? merged_->not_measurable_reason()
                                                             : newer.not_measurable_reason();
  *merged_ = newer;
  *merged_->mutable_latency() = std::move(latency);
  if (!IsEmpty(traffic)) *merged_->mutable_traffic() = std::move(traffic);
  merged_->mutable_fault_delays()->Swap(&delays);
  merged_->set_merged_batches(merged);
  merged_->set_missed_batches(missed);
  merged_->set_packets(packets);
  merged_->set_bytes(bytes);
  merged_->set_interval_ns(interval_ns);
  merged_->set_measurable(measurable);
  merged_->set_not_measurable_reason(std::move(reason));
  return true;
}

std::shared_ptr<const MetricUpdate> MetricSlot::Take(bool with_histogram) {
  if (merged_) {
    std::shared_ptr<MetricUpdate> update = std::move(merged_);
    if (update->interval_ns() > TargetWindows::kWindowNs) Summarize(update.get());
    if (!with_histogram) ClearBuckets(update.get());
    return update;
  }
  const SharedUpdate taken = std::exchange(waiting_, {});
  return with_histogram ? taken.full : taken.plain;
}

void MetricSlot::Summarize(MetricUpdate* update) const {
  SparseBuckets latency, handshake, rtt;
  latency.Merge(update->latency()).IgnoreError();  // merged before
  handshake.Merge(update->traffic().handshake()).IgnoreError();
  rtt.Merge(update->traffic().smoothed_rtt()).IgnoreError();
  SetPercentiles(latency, update);
  SetConnectionTimes(handshake, rtt, update);
  for (auto& delays : *update->mutable_fault_delays()) {
    SparseBuckets given;
    given.Merge(delays.given()).IgnoreError();
    SetDelayTimes(given, &delays);
  }
  const double seconds = static_cast<double>(update->interval_ns()) / 1e9;
  const int64_t drops = std::max<int64_t>(update->packet_drops() - drops_before_, 0);
  update->set_requests_per_second(static_cast<double>(latency.count()) / seconds);
  update->set_packets_per_second(static_cast<double>(update->packets()) / seconds);
  update->set_bytes_per_second(static_cast<double>(update->bytes()) / seconds);
  update->set_drops_per_second(static_cast<double>(drops) / seconds);
}

}  // namespace faultline::server
