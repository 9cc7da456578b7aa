#include "server/target_windows.h"

#include <set>
#include <utility>

namespace faultline::server {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;
using chaos::v1::TargetSample;

namespace {

MetricUpdate BaseUpdate(const MetricsBatch& batch, const TargetSample& sample) {
  MetricUpdate update;
  update.set_timestamp_ns(batch.timestamp_ns());
  update.set_target_id(sample.target_id());
  *update.mutable_position() = batch.position();
  update.set_histogram_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  *update.mutable_latency() = sample.latency();
  update.set_packets(sample.packets());
  update.set_bytes(sample.bytes());
  return update;
}

void FillFaults(const TargetSample& sample, const std::string& experiment_id,
                MetricUpdate* update) {
  uint64_t drops = 0;
  for (const auto& fault : sample.faults()) {
    if (!experiment_id.empty() && fault.experiment_id() != experiment_id) continue;
    *update->add_faults() = fault;
    drops += fault.dropped();
  }
  update->set_experiment_id(experiment_id);
  update->set_packet_drops(static_cast<int64_t>(drops));
}

}  // namespace

void TargetWindows::Window::Add(Part part) {
  if (!merged.Merge(part.latency).ok()) part.latency.Clear();
  length_ns += part.interval_ns;
  not_measurable += part.not_measurable;
  parts.push_back(std::move(part));
  while (parts.size() > kMaxParts ||
         (parts.size() > 1 && length_ns - parts.front().interval_ns >= kWindowNs)) {
    const Part& oldest = parts.front();
    // Unsigned arithmetic wraps: adding the negative count takes it away.
    for (int i = 0; i < oldest.latency.index_size(); ++i) {
      merged.AddToBucket(oldest.latency.index(i), -oldest.latency.count(i));
    }
    length_ns -= oldest.interval_ns;
    not_measurable -= oldest.not_measurable;
    parts.pop_front();
  }
}

TargetWindows::Updates TargetWindows::Add(const MetricsBatch& batch) {
  Updates updates;
  for (const auto& sample : batch.samples()) {
    Window& window = windows_[sample.target_id()];
    window.Add({batch.interval_ns(), sample.latency(), sample.not_measurable()});
    MetricUpdate update = BaseUpdate(batch, sample);
    update.set_p50_latency_ms(window.merged.PercentileNs(50) / 1e6);
    update.set_p99_latency_ms(window.merged.PercentileNs(99) / 1e6);
    update.set_request_count(window.merged.count());
    update.set_measurable(window.not_measurable == 0);
    update.set_not_measurable_reason(sample.not_measurable_reason());
    std::set<std::string> experiments{""};  // "": the target as such
    for (const auto& fault : sample.faults()) experiments.insert(fault.experiment_id());
    for (const auto& experiment_id : experiments) {
      auto mine = std::make_shared<MetricUpdate>(update);
      FillFaults(sample, experiment_id, mine.get());
      updates.push_back(std::move(mine));
    }
  }
  return updates;
}

}  // namespace faultline::server
