#include "faults/network/samples.h"

#include <array>
#include <utility>

#include "base/traffic.h"

namespace faultline::network {
namespace {

constexpr std::array<const char*, FL_REASONS> kReasons = {
    "",
    "requests overlap on a connection (pipelining, or a request sent in several writes)",
    "HTTP/2 answers out of turn",
    "QUIC answers out of turn",
    "who asks on a connection that began before the agent cannot be told",
    "the agent has no room for so many different times of so many targets",
    "",
    "",
};

uint64_t Take(__u64* counter) { return __atomic_exchange_n(counter, 0, __ATOMIC_RELAXED); }
uint64_t Read(const __u64& counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); }

void TakeHistogram(Kernel* kernel, unsigned target, unsigned hist,
                   chaos::v1::SparseHistogram* histogram) {
  histogram->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  kernel->TakeCounters(target, FL_COUNTERS_OF_HIST(hist), FL_HIST_BUCKETS,
                       [histogram](unsigned bucket, uint64_t count) {
                         histogram->add_index(bucket);
                         histogram->add_count(count);
                       });
}

void TakeTraffic(Kernel* kernel, DropWatch* drops, unsigned target,
                 chaos::v1::TargetSample* sample) {
  fl_target_stats& stats = kernel->stats(target);
  chaos::v1::TrafficDetail traffic;
  if (Take(&stats.events[FL_EVENT_HANDSHAKE]) != 0) {
    TakeHistogram(kernel, target, FL_HIST_HANDSHAKE, traffic.mutable_handshake());
  }
  if (Take(&stats.events[FL_EVENT_RTT]) != 0) {
    TakeHistogram(kernel, target, FL_HIST_RTT, traffic.mutable_smoothed_rtt());
  }
  if (Take(&stats.events[FL_EVENT_DROP]) != 0) drops->Take(target, &traffic);
  traffic.set_unpaired_handshakes(Take(&stats.events[FL_EVENT_UNPAIRED_HANDSHAKE]));
  traffic.set_refused_sent(Take(&stats.events[FL_EVENT_REFUSED + FL_EGRESS]));
  traffic.set_refused_received(Take(&stats.events[FL_EVENT_REFUSED + FL_INGRESS]));
  traffic.set_resets_sent(Take(&stats.events[FL_EVENT_RESET + FL_EGRESS]));
  traffic.set_resets_received(Take(&stats.events[FL_EVENT_RESET + FL_INGRESS]));
  traffic.set_retransmits(Take(&stats.events[FL_EVENT_RETRANSMIT]));
  traffic.set_http_1xx(Take(&stats.events[FL_EVENT_HTTP]));
  traffic.set_http_2xx(Take(&stats.events[FL_EVENT_HTTP + 1]));
  traffic.set_http_3xx(Take(&stats.events[FL_EVENT_HTTP + 2]));
  traffic.set_http_4xx(Take(&stats.events[FL_EVENT_HTTP + 3]));
  traffic.set_http_5xx(Take(&stats.events[FL_EVENT_HTTP + 4]));
  traffic.set_failed_handshakes(Take(&stats.events[FL_EVENT_FAILED]));
  traffic.set_failed_connections(Take(&stats.events[FL_EVENT_FAILED + 1]));
  traffic.set_events_lost(Take(&stats.events[FL_EVENT_LOST]));
  for (__u64& told : stats.told) Take(&told);
  kernel->events().Take(
      target, [drops](unsigned reason) { return drops->ReasonName(reason); }, &traffic);
  if (!IsEmpty(traffic)) *sample->mutable_traffic() = std::move(traffic);
}

}  // namespace

chaos::v1::TargetSample TakeSample(Kernel* kernel, DropWatch* drops, unsigned target) {
  chaos::v1::TargetSample sample;
  fl_target_stats& stats = kernel->stats(target);
  for (unsigned part = 0; part < FL_TRAFFIC_PARTS; ++part) {
    fl_traffic& traffic = kernel->traffic(target, part);
    sample.set_packets(sample.packets() + Take(&traffic.packets));
    sample.set_bytes(sample.bytes() + Take(&traffic.bytes));
  }
  for (unsigned reason = 0; reason < FL_REASONS; ++reason) {
    const uint64_t turns = Take(&stats.not_measurable[reason]);
    if (turns == 0) continue;
    sample.set_not_measurable(sample.not_measurable() + turns);
    if (sample.not_measurable_reason().empty()) sample.set_not_measurable_reason(kReasons[reason]);
  }
  TakeTraffic(kernel, drops, target, &sample);
  // The kernel says so after it has counted in a bucket: when it does not, no bucket has changed
  // that the next call would not see.
  if (Take(&stats.samples) != 0) {
    TakeHistogram(kernel, target, FL_HIST_LATENCY, sample.mutable_latency());
  }
  return sample;
}

void ClearSample(Kernel* kernel, DropWatch* drops, unsigned target) {
  (void)TakeSample(kernel, drops, target);
  kernel->FreeCounters(target);
}

chaos::v1::FaultCounters ToCounters(const faults::FaultKey& key, const fl_counters& counters,
                                    const ActedAs& acted) {
  chaos::v1::FaultCounters out;
  out.set_experiment_id(key.experiment_id);
  out.set_fault_index(key.fault_index);
  out.set_matched(Read(counters.matched));
  if (acted.in_kernel != nullptr) (out.*acted.in_kernel)(Read(counters.acted));
  if (acted.in_lane != nullptr) (out.*acted.in_lane)(Read(counters.lane_acted));
  out.set_lease_expired(Read(counters.lease_expired));
  out.set_lane_dropped(Read(counters.lane_dropped));
  out.set_delay_given_ns(Read(counters.delay_given_ns));
  out.set_delay_asked_ns(Read(counters.delay_asked_ns));
  out.set_delays_measured(Read(counters.delays_measured));
  out.set_left_alone(Read(counters.left_alone));
  out.set_link_bytes(Read(counters.link_bytes));
  out.set_link_busy_ns(Read(counters.link_busy_ns));
  return out;
}

}  // namespace faultline::network
