// Agent::Impl's words to scrapers and probes.
#include "agent/agent_impl.h"
#include "base/clock.h"
#include "http/exposition.h"

namespace faultline::agent {
namespace {

using http::Families;

void AddDurations(Families& families, const char* name, const char* help,
                  const SampleTotals::Durations& durations, const http::Labels& labels) {
  std::vector<double> upper;
  for (const uint64_t bound_ns : SampleTotals::kBoundsNs) {
    upper.push_back(static_cast<double>(bound_ns) / 1e9);
  }
  families.Histogram(name, help, upper, {durations.counts.begin(), durations.counts.end()},
                     durations.seconds, labels);
}

void AddTraffic(Families& families, const chaos::v1::TrafficDetail& traffic,
                const http::Labels& target) {
  const auto counter = [&](const char* name, const char* help, uint64_t value,
                           http::Labels more = {}) {
    more.insert(more.begin(), target.begin(), target.end());
    families.Counter(name, help, static_cast<double>(value), more);
  };
  counter("faultline_target_handshakes_unpaired_total",
          "Accepted connections whose request was not seen, or forgotten among too many others.",
          traffic.unpaired_handshakes());
  constexpr char kRefused[] = "faultline_target_connections_refused_total";
  constexpr char kRefusedHelp[] = "Requests for a connection that were answered by a reset.";
  counter(kRefused, kRefusedHelp, traffic.refused_sent(), {{"by", "target"}});
  counter(kRefused, kRefusedHelp, traffic.refused_received(), {{"by", "peer"}});
  constexpr char kResets[] = "faultline_target_resets_total";
  constexpr char kResetsHelp[] = "Resets (RST segments) that refused no connection.";
  counter(kResets, kResetsHelp, traffic.resets_sent(), {{"by", "target"}});
  counter(kResets, kResetsHelp, traffic.resets_received(), {{"by", "peer"}});
  constexpr char kFailed[] = "faultline_target_connections_failed_total";
  constexpr char kFailedHelp[] =
      "Connections of the target's own that failed otherwise than by a reset.";
  counter(kFailed, kFailedHelp, traffic.failed_handshakes(), {{"before", "accepted"}});
  counter(kFailed, kFailedHelp, traffic.failed_connections(), {{"before", "closed"}});
  counter("faultline_target_events_lost_total",
          "Rare events (refusals, resets, drops, failures) counted, but not told one by one.",
          traffic.events_lost());
  counter("faultline_target_retransmits_total",
          "TCP segments that the target's own sockets sent again.", traffic.retransmits());
  constexpr char kAnswers[] = "faultline_target_http_responses_total";
  constexpr char kAnswersHelp[] = "Answers of HTTP/1 in plain text, by the class of their status.";
  counter(kAnswers, kAnswersHelp, traffic.http_1xx(), {{"class", "1xx"}});
  counter(kAnswers, kAnswersHelp, traffic.http_2xx(), {{"class", "2xx"}});
  counter(kAnswers, kAnswersHelp, traffic.http_3xx(), {{"class", "3xx"}});
  counter(kAnswers, kAnswersHelp, traffic.http_4xx(), {{"class", "4xx"}});
  counter(kAnswers, kAnswersHelp, traffic.http_5xx(), {{"class", "5xx"}});
  for (const auto& [reason, count] : traffic.kernel_drops()) {
    counter("faultline_target_kernel_drops_total",
            "Packets of a target that the kernel dropped, by its reason.", count,
            {{"reason", reason}});
  }
}

void AddTargets(Families& families, const SampleTotals& totals) {
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
    AddTraffic(families, target.traffic, labels);
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
    if (counters.delays_measured() == 0) continue;
    AddDurations(families, "faultline_fault_delay_duration_seconds",
                 "Time that each packet of a fault waited in a lane.", fault.delays, labels);
  }
}

}  // namespace

void Agent::Impl::AddOwn(Families& families) const {
  const uint64_t now_ns = BoottimeNowNs();
  const auto gauge = [&](const char* name, const char* help, double value) {
    families.Gauge(name, help, value);
  };
  gauge("faultline_agent_connected", "1 while a controller has welcomed the agent.",
        session->welcomed());
  gauge("faultline_agent_lease_seconds", "Time left of the control plane's lease.",
        lease.Held(now_ns) ? static_cast<double>(lease.until_ns() - now_ns) / 1e9 : 0);
  gauge("faultline_agent_halted", "1 while nothing is armed because of faultline-agent halt.",
        reconciler->halted());
  gauge("faultline_agent_armed_faults", "Faults armed in the kernel.", reconciler->armed_count());
  gauge("faultline_agent_targets", "Targets of the configuration.",
        static_cast<double>(config.targets.size()));
  gauge("faultline_agent_target_problems", "Targets that cannot be measured or faulted now.",
        static_cast<double>(drivers.problems().size()));
  gauge("faultline_agent_left_behind",
        "Changes to the host that could not be undone, and are tried again.",
        static_cast<double>(journal->left().size()));
  const faults::DriverLoad load = drivers.Load();
  gauge("faultline_agent_lane_bytes", "Memory of packets that are being held back.",
        static_cast<double>(load.held_bytes));
  gauge("faultline_agent_lane_packets", "Packets that are being held back.",
        static_cast<double>(load.held_packets));
  families.Counter("faultline_agent_heartbeats_total",
                   "Times that the kernel was told that the agent lives.",
                   heartbeat ? static_cast<double>(heartbeat->beats()) : 0);
  families.Counter("faultline_agent_sessions_total", "Times that a controller welcomed the agent.",
                   meters.sessions);
  families.Counter("faultline_agent_lease_renewals_total", "Lease renewals sent.", meters.renewals);
  const std::string grants = "Leases that controllers granted, by whether the agent took them.";
  families.Counter("faultline_agent_lease_grants_total", grants, meters.grants,
                   {{"result", "taken"}});
  families.Counter("faultline_agent_lease_grants_total", grants, meters.grants_refused,
                   {{"result", "refused"}});
  const std::string desired = "Desired states received, by whether the agent took them.";
  families.Counter("faultline_agent_desired_states_total", desired, meters.desired,
                   {{"result", "taken"}});
  families.Counter("faultline_agent_desired_states_total", desired, meters.desired_refused,
                   {{"result", "refused"}});
  families.Counter("faultline_agent_metric_batches_total", "Measurements made.", meters.batches);
  families.Counter("faultline_agent_guardian_restarts_total",
                   "Times that the guardian had died and was started again.",
                   meters.guardian_restarts);
}

void Agent::Collect(std::function<void(http::Families)> done) {
  impl_->strand.Post([impl = impl_.get(), done = std::move(done)] {
    Families families;
    if (!impl->ending && impl->reconciler) {
      impl->AddOwn(families);
      AddTargets(families, impl->totals);
      AddFaults(families, impl->totals);
    }
    done(std::move(families));
  });
}

void Agent::Readiness(std::function<void(std::vector<std::string>)> done) {
  impl_->strand.Post([impl = impl_.get(), done = std::move(done)] {
    std::vector<std::string> reasons;
    if (impl->ending || !impl->reconciler) return done({"the agent is ending"});
    if (!impl->session->welcomed()) {
      reasons.push_back(fmt::format("no controller: trying {}", impl->session->controller()));
    } else if (!impl->lease.Held(BoottimeNowNs())) {
      reasons.push_back("no lease: the controller has no majority behind it, or has not answered");
    }
    if (impl->reconciler->halted()) {
      reasons.push_back("halted: nothing is armed until faultline-agent resume");
    }
    for (const std::string& problem : impl->drivers.problems()) {
      reasons.push_back("target " + problem);
    }
    done(std::move(reasons));
  });
}

}  // namespace faultline::agent
