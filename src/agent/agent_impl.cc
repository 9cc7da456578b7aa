#include "agent/agent_impl.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

namespace faultline::agent {
namespace {

// What is not measuring is done so often at least, however rarely it is measured.
constexpr unsigned kLeastBeatsPerSecond = 5;
constexpr uint64_t kCheckNs = kNanosPerSecond;  // targets, kernel state and guardian
// Where looking at all targets takes long twice in a row (hundreds of namespaces; once is a target
// that has moved), less often, so that it takes 0.25 % of a processor, but no more seldom than
// this.
constexpr uint64_t kCheckRest = 400;
constexpr uint64_t kLongestCheckNs = 5 * kNanosPerSecond;
// How long the strand arms faults, or takes targets, before others have their turn: a stop, a grant
// of the lease, a measurement.
constexpr uint64_t kTurnNs = 100 * kNanosPerMilli;
// How long an agent that ends waits for a guardian that is behind, which would otherwise say that
// it has ended what the agent has reverted.
constexpr std::chrono::milliseconds kGuardianPatience{1'000};

}  // namespace

uint64_t Agent::Impl::RandomIncarnation() {
  uint64_t value = 0;
  while (value == 0) {
    value = RandomNumber();
  }
  return value;
}

Status Agent::Impl::Begin() {
  faults::DriverContext context;
  context.undo = journal;
  context.on_lease_page = [this](int map_fd, faults::LeasePage* its_page) {
    OnLeasePage(map_fd, its_page);
  };
  context.lane = config.lane;
  context.own_ports = ProtectedPorts(config);
  context.go_on = [this](uint64_t begun_ns) { return GoOn(begun_ns); };
  FL_RETURN_IF_ERROR(drivers.Make(context));
  unseen = UnseenOf(config.targets, drivers.capabilities());
  MakeReconciler();
  ApplyTargets();
  measured_ns = BoottimeNowNs();
  check_due_ns = measured_ns + kCheckNs;
  Beat(measured_ns);
  return absl::OkStatus();
}

void Agent::Impl::MakeReconciler() {
  reconciler = std::make_unique<Reconciler>(
      [this](const std::string& kind) { return drivers.Of(kind); }, drivers.All(),
      [this] { Measure(BoottimeNowNs()); }, [this](uint64_t begun_ns) { return GoOn(begun_ns); });
  if (std::filesystem::exists(HaltFile())) {
    FL_LOG(warn, "this host is halted: nothing is armed until `faultline-agent resume`");
    reconciler->Halt(BoottimeNowNs());
  }
}

void Agent::Impl::OnLeasePage(int map_fd, faults::LeasePage* its_page) {
  page = its_page;
  page->control_until_ns = lease.until_ns();
  if (const Status watched = guardian->WatchPage(map_fd); !watched.ok()) {
    FL_LOG(error, "{}", ToString(watched.message()));
  }
  heartbeat = std::make_unique<Heartbeat>(page, config.heartbeat_ns);
}

bool Agent::Impl::ApplyTargets() {
  if (!drivers.SetTargets(config.targets)) return false;
  reconciler->TargetsChanged();
  const auto known = std::exchange(told, {drivers.problems().begin(), drivers.problems().end()});
  told.insert(drivers.warnings().begin(), drivers.warnings().end());
  for (const std::string& sentence : told) {
    if (!known.contains(sentence)) FL_LOG(warn, "target {}", sentence);
  }
  if (told.empty()) FL_LOG(info, "all targets are measured");
  return true;
}

StatusOr<std::unique_ptr<Session>> Agent::Impl::MakeSession() {
  Session::Callbacks callbacks;
  callbacks.hello = [this] {
    chaos::v1::AgentHello hello;
    *hello.mutable_agent() = Describe();
    hello.set_metrics_sequence(metrics.sequence());
    hello.set_last_node_id(last_node_id);
    return hello;
  };
  callbacks.on_welcome = [this](const auto& welcome) { OnWelcome(welcome); };
  callbacks.on_grant = [this](const auto& grant) { OnGrant(grant); };
  callbacks.on_desired = [this](const auto& desired) { OnDesired(desired); };
  callbacks.on_end = [this] { OnEnd(); };
  return Session::Make(
      {config.controllers, config.tls_ca_file, config.tls_cert_file, config.tls_key_file},
      std::move(callbacks), &strand);
}

void Agent::Impl::OnWelcome(const chaos::v1::AgentWelcome& welcome) {
  meters.sessions.Add();
  last_node_id = welcome.node_id();
  baselines.SetKept(std::chrono::milliseconds(welcome.baseline_ms()));
  lease.OnConnected(BoottimeNowNs());
  SendRenewal();
  SendReports();
  for (auto& given : baselines.Give()) {
    chaos::v1::ConnectRequest request;
    *request.mutable_baselines() = std::move(given);
    session->Send(std::move(request));
  }
  for (const auto& batch : metrics.kept()) {
    chaos::v1::ConnectRequest request;
    *request.mutable_metrics() = batch;
    session->Send(std::move(request));
  }
}

void Agent::Impl::OnGrant(const chaos::v1::LeaseGrant& grant) {
  const uint64_t now_ns = BoottimeNowNs();
  if (const Status taken = lease.OnGrant(grant, now_ns); !taken.ok()) {
    FL_LOG(debug, "grant refused: {}", ToString(taken.message()));
    meters.grants_refused.Add();
    return;
  }
  meters.grants.Add();
  if (page != nullptr) page->control_until_ns = lease.until_ns();
  reconciler->SetLeaseHeld(lease.Held(now_ns), now_ns);
  TellChanges();
}

void Agent::Impl::OnDesired(const chaos::v1::DesiredState& desired) {
  const uint64_t now_ns = BoottimeNowNs();
  if (const Status taken = lease.OnDesired(desired.version(), now_ns); !taken.ok()) {
    FL_LOG(info, "desired state refused: {}", ToString(taken.message()));
    meters.desired_refused.Add();
    return;
  }
  meters.desired.Add();
  reconciler->SetDesired(desired, now_ns);
  TellChanges();
}

void Agent::Impl::OnEnd() { reconciler->OnSessionEnd(); }

bool Agent::Impl::GoOn(uint64_t begun_ns) {
  if (heartbeat) heartbeat->Alive();
  // Before the first lease nothing is armed, and whoever is told of this agent finds all targets
  // taken.
  return lease.until_ns() == 0 || BoottimeNowNs() < begun_ns + kTurnNs;
}

// Everything periodic in one go, at the rate of the metrics or a multiple of it: waking up is what
// an idle agent costs.
void Agent::Impl::Beat(uint64_t due_ns) {
  if (ending) return;
  if (heartbeat) heartbeat->Alive();
  if (drivers.unfinished() || BoottimeNowNs() >= check_due_ns) Check();
  const uint64_t now_ns = BoottimeNowNs();
  reconciler->SetLeaseHeld(lease.Held(now_ns), now_ns);
  reconciler->Tick(now_ns);
  KeepLease(now_ns);
  TellChanges();
  const unsigned rate_hz = config.metrics_rate_hz;
  const unsigned beats_per_measure =
      (std::max(rate_hz, kLeastBeatsPerSecond) + rate_hz - 1) / rate_hz;
  if (++beats % beats_per_measure == 0) Measure(now_ns);
  // A late beat is not made up for. What there was no time for goes on at once, behind all that was
  // posted meanwhile.
  const uint64_t period_ns = kNanosPerSecond / (rate_hz * beats_per_measure);
  const bool unfinished = reconciler->unfinished() || drivers.unfinished();
  const uint64_t next_ns =
      unfinished ? now_ns : std::max(due_ns + period_ns, now_ns + period_ns / 2);
  strand.PostAfter(std::chrono::nanoseconds(next_ns - std::min(next_ns, BoottimeNowNs())),
                   [this, next_ns] { Beat(next_ns); });
}

void Agent::Impl::Check() {
  const uint64_t now_ns = BoottimeNowNs();
  const uint64_t begun_ns = ReadClock(CLOCK_THREAD_CPUTIME_ID);
  journal->TryLeft(undo);
  bool changed = ApplyTargets();
  reconciler->CompareWithDrivers();
  const uint64_t spent_ns = ReadClock(CLOCK_THREAD_CPUTIME_ID) - begun_ns;
  // What has gone is told before it is back.
  changed |= TellChanges();
  check_due_ns = now_ns + kCheckNs;
  if (!changed && !drivers.unfinished()) {
    // A target without faults that has moved is a change that is not told: the cheaper of two.
    const uint64_t last_ns = std::exchange(check_spent_ns, spent_ns);
    check_due_ns =
        now_ns + std::clamp(kCheckRest * std::min(spent_ns, last_ns), kCheckNs, kLongestCheckNs);
  }
  const auto revived = guardian->Revive();
  if (!revived.ok()) FL_LOG(error, "{}", ToString(revived.status().message()));
  if (revived.ok() && *revived) {
    meters.guardian_restarts.Add();
    FL_LOG(warn, "the guardian had died; a new one runs");
  }
}

void Agent::Impl::KeepLease(uint64_t now_ns) {
  if (!session || !session->welcomed()) return;
  if (lease.NodeIsSilent(now_ns)) return session->MoveOn("it grants no lease");
  if (now_ns >= lease.renewal_due_ns()) SendRenewal();
}

void Agent::Impl::SendRenewal() {
  const uint64_t now_ns = BoottimeNowNs();
  chaos::v1::ConnectRequest request;
  request.mutable_renewal()->set_sent_boottime_ns(now_ns);
  lease.OnRenewalSent(now_ns);
  meters.renewals.Add();
  session->Send(std::move(request));
}

void Agent::Impl::SendReports() {
  if (!session || !session->welcomed()) return;
  chaos::v1::ConnectRequest request;
  *request.mutable_reports() = reconciler->Reports(BoottimeNowNs());
  request.mutable_reports()->set_incarnation(incarnation);
  session->Send(std::move(request));
}

bool Agent::Impl::TellChanges() {
  if (!reconciler->TakeChanged()) return false;
  guardian->SetArmed(reconciler->Armed());
  SendReports();
  return true;
}

void Agent::Impl::Measure(uint64_t now_ns) {
  if (now_ns <= measured_ns) return;
  auto samples = drivers.ReadSamples();
  totals.Add(samples, now_ns);
  const size_t made = metrics.Add(std::move(samples), UnixNowNs(), now_ns - measured_ns);
  meters.batches.Add(made);
  measured_ns = now_ns;
  const bool connected = session && session->welcomed();
  const auto& kept = metrics.kept();
  for (auto batch = kept.end() - static_cast<ptrdiff_t>(made); batch != kept.end(); ++batch) {
    baselines.Add(*batch);
    if (!connected) continue;
    chaos::v1::ConnectRequest request;
    *request.mutable_metrics() = *batch;
    session->Send(std::move(request));
  }
}

void Agent::Impl::End() {
  ending = true;
  reconciler->Stop(BoottimeNowNs());
  guardian->SetArmed(reconciler->Armed());
  SendReports();
  guardian->Flush(kGuardianPatience);
}

}  // namespace faultline::agent
