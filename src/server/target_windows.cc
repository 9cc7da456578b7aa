#include "server/target_windows.h"

#include <algorithm>
#include <utility>

#include "base/traffic.h"

namespace faultline::server {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;
using chaos::v1::TargetSample;

namespace {

MetricUpdate BaseUpdate(const MetricsBatch& batch, const TargetSample& sample, uint64_t missed) {
  MetricUpdate update;
  update.set_timestamp_ns(batch.timestamp_ns());
  update.set_target_id(sample.target_id());
  *update.mutable_position() = batch.position();
  update.set_histogram_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  *update.mutable_latency() = sample.latency();
  update.set_packets(sample.packets());
  update.set_bytes(sample.bytes());
  update.set_interval_ns(batch.interval_ns());
  update.set_missed_batches(missed);
  if (sample.has_traffic()) MergeTraffic(sample.traffic(), update.mutable_traffic());
  MergeDelays(sample.fault_delays(), update.mutable_fault_delays());
  return update;
}

void FillFaults(const MetricTotals::Sums& sums, const std::string& experiment_id,
                MetricUpdate* update) {
  uint64_t drops = 0;
  for (const auto& fault : sums.faults) {
    if (!experiment_id.empty() && fault.experiment_id() != experiment_id) continue;
    *update->add_faults() = fault;
    drops += fault.dropped();
  }
  update->set_experiment_id(experiment_id);
  update->set_packet_drops(static_cast<int64_t>(experiment_id.empty() ? sums.dropped : drops));
}

}  // namespace

void SetPercentiles(const SparseBuckets& latency, MetricUpdate* update) {
  constexpr double kPercents[] = {50, 90, 95, 99, 99.9, 100};
  const std::vector<double> values_ns = latency.PercentilesNs(kPercents);
  update->set_p50_latency_ms(values_ns[0] / 1e6);
  update->set_p90_latency_ms(values_ns[1] / 1e6);
  update->set_p95_latency_ms(values_ns[2] / 1e6);
  update->set_p99_latency_ms(values_ns[3] / 1e6);
  update->set_p999_latency_ms(values_ns[4] / 1e6);
  update->set_max_latency_ms(values_ns[5] / 1e6);
  update->set_request_count(latency.count());
}

void SetConnectionTimes(const SparseBuckets& handshake, const SparseBuckets& rtt,
                        MetricUpdate* update) {
  constexpr double kPercents[] = {50, 99};
  const std::vector<double> handshake_ns = handshake.PercentilesNs(kPercents);
  update->set_p50_handshake_ms(handshake_ns[0] / 1e6);
  update->set_p99_handshake_ms(handshake_ns[1] / 1e6);
  update->set_handshake_count(handshake.count());
  const std::vector<double> rtt_ns = rtt.PercentilesNs(kPercents);
  update->set_p50_rtt_ms(rtt_ns[0] / 1e6);
  update->set_p99_rtt_ms(rtt_ns[1] / 1e6);
}

void SetDelayTimes(const SparseBuckets& given, chaos::v1::FaultDelays* delays) {
  constexpr double kPercents[] = {50, 99};
  const std::vector<double> given_ns = given.PercentilesNs(kPercents);
  delays->set_packets(given.count());
  delays->set_p50_ms(given_ns[0] / 1e6);
  delays->set_p99_ms(given_ns[1] / 1e6);
}

bool TargetWindows::Window::Add(Part part) {
  const bool ours = latency.Merge(part.latency).ok();
  if (!ours) part.latency.Clear();
  handshake.Merge(part.handshake).IgnoreError();  // refused before when it is not ours
  rtt.Merge(part.rtt).IgnoreError();
  std::erase_if(delays, [](const auto& fault) { return fault.second.count() == 0; });
  for (const auto& fault : part.delays) {
    delays[{fault.experiment_id(), fault.fault_index()}].Merge(fault.given()).IgnoreError();
  }
  length_ns += part.interval_ns;
  not_measurable += part.not_measurable;
  packets += part.packets;
  bytes += part.bytes;
  for (const auto& [experiment, count] : part.dropped) dropped[experiment] += count;
  parts.push_back(std::move(part));
  while (parts.size() > kMaxParts ||
         (parts.size() > 1 && length_ns - parts.front().interval_ns >= kWindowNs)) {
    DropOldest();
  }
  return ours;
}

void TargetWindows::Window::DropOldest() {
  const Part& oldest = parts.front();
  latency.Subtract(oldest.latency);
  handshake.Subtract(oldest.handshake);
  rtt.Subtract(oldest.rtt);
  for (const auto& fault : oldest.delays) {
    delays[{fault.experiment_id(), fault.fault_index()}].Subtract(fault.given());
  }
  length_ns -= oldest.interval_ns;
  not_measurable -= oldest.not_measurable;
  packets -= oldest.packets;
  bytes -= oldest.bytes;
  for (const auto& [experiment, count] : oldest.dropped) {
    const auto sum = dropped.find(experiment);
    if (sum == dropped.end()) continue;  // counters that grew by more than one can hold
    sum->second -= count;
    if (sum->second == 0) dropped.erase(sum);
  }
  parts.pop_front();
}

std::string TargetWindows::Window::WhyNotMeasurable() const {
  const auto last = std::find_if(parts.rbegin(), parts.rend(), [](const Part& part) {
    return part.not_measurable > 0 && !part.why_not_measurable.empty();
  });
  return last == parts.rend() ? "" : last->why_not_measurable;
}

// What was dropped since the sample before. Counters that are seen for the first time may have
// counted for long.
TargetWindows::Drops TargetWindows::Window::Grown(const MetricTotals::Sums& sums) {
  Drops now{{"", sums.dropped}}, grown;
  for (const auto& fault : sums.faults) {
    if (!fault.experiment_id().empty()) now[fault.experiment_id()] += fault.dropped();
  }
  for (const auto& [experiment, count] : now) {
    const auto before = counters.find(experiment);
    if (before == counters.end() || count <= before->second) continue;
    grown[experiment] = count - before->second;
  }
  counters = std::move(now);
  return grown;
}

void TargetWindows::Window::SetRates(const std::string& experiment_id, MetricUpdate* update) const {
  const double seconds = static_cast<double>(length_ns) / 1e9;
  if (seconds == 0) return;
  const auto drops = dropped.find(experiment_id);
  update->set_requests_per_second(static_cast<double>(latency.count()) / seconds);
  update->set_packets_per_second(static_cast<double>(packets) / seconds);
  update->set_bytes_per_second(static_cast<double>(bytes) / seconds);
  update->set_drops_per_second(
      drops == dropped.end() ? 0 : static_cast<double>(drops->second) / seconds);
}

void TargetWindows::Window::SetDelays(const std::string& experiment_id,
                                      MetricUpdate* update) const {
  std::map<FaultId, chaos::v1::FaultDelays> of_batch;
  for (auto& each : *update->mutable_fault_delays()) {
    of_batch[{each.experiment_id(), each.fault_index()}] = std::move(each);
  }
  update->clear_fault_delays();
  for (const auto& [fault, given] : delays) {
    if (!experiment_id.empty() && fault.first != experiment_id) continue;
    auto* out = update->add_fault_delays();
    out->set_experiment_id(fault.first);
    out->set_fault_index(fault.second);
    if (const auto now = of_batch.find(fault); now != of_batch.end()) *out = std::move(now->second);
    SetDelayTimes(given, out);
  }
}

TargetWindows::Updates TargetWindows::Add(const MetricsBatch& batch, uint64_t missed,
                                          const std::vector<MetricTotals::Sums>& totals) {
  Updates updates;
  for (int i = 0; i < batch.samples_size(); ++i) {
    const TargetSample& sample = batch.samples(i);
    const MetricTotals::Sums& sums = totals[static_cast<size_t>(i)];
    Window& window = windows_[sample.target_id()];
    MetricUpdate update = BaseUpdate(batch, sample, missed);
    Part part{batch.interval_ns(),
              sample.latency(),
              update.traffic().handshake(),
              update.traffic().smoothed_rtt(),
              update.fault_delays(),
              sample.not_measurable(),
              sample.packets(),
              sample.bytes(),
              window.Grown(sums),
              sample.not_measurable_reason()};
    if (!window.Add(std::move(part))) update.clear_latency();
    SetPercentiles(window.latency, &update);
    SetConnectionTimes(window.handshake, window.rtt, &update);
    update.set_measurable(window.not_measurable == 0);
    update.set_not_measurable_reason(window.WhyNotMeasurable());
    for (const auto& [experiment_id, dropped] : window.counters) {
      auto mine = std::make_shared<MetricUpdate>(update);
      FillFaults(sums, experiment_id, mine.get());
      window.SetRates(experiment_id, mine.get());
      window.SetDelays(experiment_id, mine.get());
      updates.push_back(std::move(mine));
    }
  }
  return updates;
}

}  // namespace faultline::server
