#include "agent/total_families.h"

#include <algorithm>

namespace faultline::agent {
namespace {

using http::Families;

void AddDurations(Families& families, const char* name, const char* help,
                  const SampleTotals::Durations& durations, const http::Labels& labels) {
  if (durations.empty()) return;
  std::vector<double> upper;
  for (const uint64_t bound_ns : SampleTotals::kBoundsNs) {
    upper.push_back(static_cast<double>(bound_ns) / 1e9);
  }
  families.Histogram(name, help, upper, {durations.counts.begin(), durations.counts.end()},
                     durations.seconds, labels);
}

// Counters of a target's connections, as far as they are seen.
void AddTraffic(Families& families, const chaos::v1::TrafficDetail& traffic, const Unseen& unseen,
                const http::Labels& target) {
  const auto counter = [&](const char* name, const char* help, uint64_t value,
                           http::Labels more = {}) {
    more.insert(more.begin(), target.begin(), target.end());
    families.Counter(name, help, static_cast<double>(value), more);
  };
  constexpr char kResets[] = "faultline_target_resets_total";
  constexpr char kResetsHelp[] = "Resets (RST segments) that refused no connection.";
  counter(kResets, kResetsHelp, traffic.resets_sent(), {{"by", "target"}});
  if (!unseen.incoming) {
    counter(kResets, kResetsHelp, traffic.resets_received(), {{"by", "peer"}});
    counter("faultline_target_handshakes_unpaired_total",
            "Accepted connections whose request was not seen, or forgotten among too many others.",
            traffic.unpaired_handshakes());
    constexpr char kRefused[] = "faultline_target_connections_refused_total";
    constexpr char kRefusedHelp[] = "Requests for a connection that were answered by a reset.";
    counter(kRefused, kRefusedHelp, traffic.refused_sent(), {{"by", "target"}});
    counter(kRefused, kRefusedHelp, traffic.refused_received(), {{"by", "peer"}});
    constexpr char kAnswers[] = "faultline_target_http_responses_total";
    constexpr char kAnswersHelp[] =
        "Answers of HTTP/1 in plain text, by the class of their status.";
    counter(kAnswers, kAnswersHelp, traffic.http_1xx(), {{"class", "1xx"}});
    counter(kAnswers, kAnswersHelp, traffic.http_2xx(), {{"class", "2xx"}});
    counter(kAnswers, kAnswersHelp, traffic.http_3xx(), {{"class", "3xx"}});
    counter(kAnswers, kAnswersHelp, traffic.http_4xx(), {{"class", "4xx"}});
    counter(kAnswers, kAnswersHelp, traffic.http_5xx(), {{"class", "5xx"}});
  }
  if (!unseen.failures) {
    constexpr char kFailed[] = "faultline_target_connections_failed_total";
    constexpr char kFailedHelp[] =
        "Connections of the target's own that failed otherwise than by a reset.";
    counter(kFailed, kFailedHelp, traffic.failed_handshakes(), {{"before", "accepted"}});
    counter(kFailed, kFailedHelp, traffic.failed_connections(), {{"before", "closed"}});
  }
  if (!unseen.sockets) {
    counter("faultline_target_retransmits_total",
            "TCP segments that the target's own sockets sent again.", traffic.retransmits());
  }
  counter("faultline_target_events_lost_total",
          "Rare events (refusals, resets, drops, failures) counted, but not told one by one.",
          traffic.events_lost());
  for (const auto& [reason, count] : traffic.kernel_drops()) {
    counter("faultline_target_kernel_drops_total",
            "Packets of a target that the kernel dropped, by its reason.", count,
            {{"reason", reason}});
  }
}

void AddTargets(Families& families, const SampleTotals& totals, const UnseenByTarget& unseen) {
  for (const auto& [id, target] : totals.targets()) {
    const http::Labels labels = {{"target", id}};
    families.Counter("faultline_target_packets_total", "Packets of a target, both directions.",
                     static_cast<double>(target.packets), labels);
    families.Counter("faultline_target_bytes_total", "Bytes of those packets.",
                     static_cast<double>(target.bytes), labels);
    families.Counter("faultline_target_not_measurable_total",
                     "Requests whose time cannot be measured (pipelining, HTTP/2).",
                     static_cast<double>(target.not_measurable), labels);
    AddDurations(families, "faultline_target_request_duration_seconds",
                 "Request-to-response time, on the side of whoever waits.", target.requests,
                 labels);
    AddDurations(families, "faultline_target_handshake_duration_seconds",
                 "Time from a request for a TCP connection to its acceptance.", target.handshakes,
                 labels);
    AddDurations(families, "faultline_target_smoothed_rtt_seconds",
                 "Smoothed round-trip time of the target's sockets when they sent something.",
                 target.round_trips, labels);
    const auto of_target = unseen.find(id);
    AddTraffic(families, target.traffic, of_target == unseen.end() ? Unseen() : of_target->second,
               labels);
  }
}

void AddFaults(Families& families, const SampleTotals& totals) {
  for (const auto& [key, fault] : totals.faults()) {
    const http::Labels labels = {{"experiment", key.experiment_id},
                                 {"fault", std::to_string(key.fault_index)},
                                 {"target", key.target_id}};
    const auto counter = [&](const char* name, const char* help, double value) {
      families.Counter(name, help, value, labels);
    };
    const auto& counters = fault.counters;
    const auto packets = [&](const char* name, const char* help, uint64_t value) {
      counter(name, help, static_cast<double>(value));
    };
    packets("faultline_fault_packets_matched_total",
            "Packets that a fault's filter matched while its leases held.", counters.matched());
    packets("faultline_fault_packets_delayed_total", "Of them, those that were delayed.",
            counters.delayed());
    packets("faultline_fault_delays_measured_total",
            "Of these, those whose delay is in the sums of delays asked for and given.",
            counters.delays_measured());
    packets("faultline_fault_packets_dropped_total", "Of them, those that were dropped.",
            counters.dropped());
    packets("faultline_fault_packets_queued_total",
            "Of them, those that came to a slower link, dropped ones included.", counters.queued());
    packets("faultline_fault_packets_duplicated_total", "Of them, those that came twice.",
            counters.duplicated());
    packets("faultline_fault_packets_corrupted_total", "Of them, those whose bits were flipped.",
            counters.corrupted());
    packets("faultline_fault_packets_reordered_total", "Of them, those held back to be overtaken.",
            counters.reordered());
    packets("faultline_fault_packets_reset_total", "Of them, those whose connection was reset.",
            counters.resets());
    packets("faultline_fault_packets_connect_failed_total",
            "Of them, openings of connections that failed.", counters.connects_failed());
    packets("faultline_fault_packets_query_failed_total",
            "Of them, DNS queries answered falsely or lost.", counters.queries_failed());
    packets("faultline_fault_packets_request_failed_total",
            "Of them, HTTP requests answered falsely, reset or held back.",
            counters.requests_failed());
    packets("faultline_fault_packets_left_alone_total",
            "Packets that the filters matched and that are protected.", counters.left_alone());
    packets("faultline_fault_packets_lease_expired_total",
            "Packets that passed untouched because a lease had run out.", counters.lease_expired());
    packets("faultline_fault_packets_lane_dropped_total",
            "Packets lost because the delay lane was full.", counters.lane_dropped());
    counter("faultline_fault_delay_asked_seconds_total", "Sum of the delays asked for.",
            static_cast<double>(counters.delay_asked_ns()) / 1e9);
    counter("faultline_fault_delay_given_seconds_total", "Sum of the delays really added.",
            static_cast<double>(counters.delay_given_ns()) / 1e9);
    packets(
        "faultline_fault_delays_without_room_total",
        "Delays measured that are not in the histogram: there was no room for so many different "
        "ones of so many faults.",
        fault.delays_without_room);
    AddDurations(families, "faultline_fault_delay_duration_seconds",
                 "Time that each packet of a fault waited in a lane.", fault.delays, labels);
  }
}

}  // namespace

UnseenByTarget UnseenOf(const std::vector<chaos::v1::Target>& targets,
                        const std::vector<chaos::v1::Capability>& capabilities) {
  const bool told = std::ranges::any_of(capabilities, [](const auto& capability) {
    return capability.name() == "drop_reasons" && capability.available();
  });
  UnseenByTarget unseen;
  for (const auto& target : targets) {
    unseen[target.target_id()] = {.sockets = target.at_host_end(),
                                  .failures = target.at_host_end() || !told,
                                  .incoming = faults::IsMeasuredOneWay(target)};
  }
  return unseen;
}

void AddTotals(const SampleTotals& totals, const UnseenByTarget& unseen, Families& families) {
  AddTargets(families, totals, unseen);
  AddFaults(families, totals);
}

}  // namespace faultline::agent
