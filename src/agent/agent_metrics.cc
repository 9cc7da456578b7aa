// Agent::Impl's words to scrapers and probes.
#include "agent/agent_impl.h"
#include "base/clock.h"
#include "http/exposition.h"

namespace faultline::agent {

using http::Families;

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
  gauge("faultline_agent_target_warnings",
        "Targets of which packets may be kept from faults and measurements.",
        static_cast<double>(drivers.warnings().size()));
  gauge("faultline_agent_left_behind",
        "Changes to the host that could not be undone, and are tried again.",
        static_cast<double>(journal->left().size()));
  const faults::DriverLoad load = drivers.Load();
  gauge("faultline_agent_lane_bytes", "Memory of packets that are being held back.",
        static_cast<double>(load.held_bytes));
  gauge("faultline_agent_lane_packets", "Packets that are being held back.",
        static_cast<double>(load.held_packets));
  if (load.met_midway) {
    families.Counter("faultline_agent_connections_met_midway_total",
                     "Connections that were not seen to begin, or forgotten among too many others: "
                     "a request of each was not measured.",
                     static_cast<double>(*load.met_midway));
  }
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
      // The strand renews leases and undoes faults meanwhile: it only copies the numbers.
      families.AddLater([totals = impl->totals, unseen = impl->unseen](Families& more) {
        AddTotals(totals, unseen, more);
      });
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
