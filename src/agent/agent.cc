#include "agent/agent.h"

#include <sys/utsname.h>

#include <filesystem>
#include <future>

#include "agent/agent_impl.h"
#include "base/clock.h"
#include "base/durable_file.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

void SetDuration(uint64_t ns, google::protobuf::Duration* duration) {
  duration->set_seconds(static_cast<int64_t>(ns / kNanosPerSecond));
  duration->set_nanos(static_cast<int32_t>(ns % kNanosPerSecond));
}

// An empty file that is there after a loss of power too.
Status MakeMarker(const std::string& path) {
  DurableFile file;
  FL_RETURN_IF_ERROR(file.Open(path, 0));
  return file.Publish(path);
}

}  // namespace

chaos::v1::Agent Agent::Impl::Describe() const {
  utsname host{};
  uname(&host);
  chaos::v1::Agent agent;
  agent.set_agent_id(config.agent_id);
  agent.set_hostname(host.nodename);
  agent.set_software_version(FAULTLINE_VERSION);
  agent.set_kernel(host.release);
  agent.set_incarnation(incarnation);
  for (const auto& capability : drivers.capabilities()) *agent.add_capabilities() = capability;
  for (const auto& target : config.targets) *agent.add_targets() = target;
  return agent;
}

::agent::v1::StatusResponse Agent::Impl::DescribeStatus() const {
  const uint64_t now_ns = BoottimeNowNs();
  ::agent::v1::StatusResponse status;
  *status.mutable_agent() = Describe();
  status.mutable_agent()->set_connected(session->welcomed());
  status.set_controller(session->controller());
  status.set_cluster_id(lease.cluster_id());
  SetDuration(lease.Held(now_ns) ? lease.until_ns() - now_ns : 0, status.mutable_lease_left());
  SetDuration(config.heartbeat_ns, status.mutable_heartbeat());
  status.set_halted(reconciler->halted());
  for (auto& fault : reconciler->Faults(now_ns)) *status.add_faults() = std::move(fault);
  status.set_guardian_pid(guardian->pid());
  for (const std::string& problem : drivers.problems()) status.add_problems(problem);
  for (const std::string& warning : drivers.warnings()) status.add_warnings(warning);
  for (const std::string& sentence : journal->left()) status.add_left_behind(sentence);
  return status;
}

::agent::v1::HaltResponse Agent::Impl::Halt() {
  ::agent::v1::HaltResponse response;
  const unsigned before = reconciler->armed_count();
  reconciler->Halt(BoottimeNowNs());
  response.set_disarmed(before - reconciler->armed_count());
  for (const auto& fault : reconciler->Faults(BoottimeNowNs())) {
    if (!fault.armed()) continue;
    response.add_failures(
        fmt::format("{} on {}: {}", fault.experiment_id(), fault.target_id(), fault.reason()));
  }
  if (const Status marked = MakeMarker(HaltFile()); !marked.ok()) {
    response.add_failures(
        fmt::format("a restart of the agent will forget that this host is halted: {}",
                    ToString(marked.message())));
  }
  TellChanges();
  FL_LOG(warn, "halted: {} faults disarmed; nothing is armed until `faultline-agent resume`",
         response.disarmed());
  return response;
}

StatusOr<std::unique_ptr<Agent>> Agent::Start(const Config& config, const FaultGroups& groups,
                                              Guardian* guardian, UndoJournal* journal) {
  std::unique_ptr<Agent> agent(
      new Agent(std::make_unique<Impl>(config, groups, guardian, journal)));
  Impl* impl = agent->impl_.get();
  FL_ASSIGN_OR_RETURN(impl->session, impl->MakeSession());
  Status begun;
  impl->strand.Run([&] {
    begun = impl->Begin();
    if (begun.ok()) impl->session->Start();
  });
  FL_RETURN_IF_ERROR(begun);
  return agent;
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Agent::~Agent() {
  std::promise<void> farewell;
  const bool began = impl_->session != nullptr && impl_->strand.Run([&] {
    if (impl_->reconciler) impl_->End();
    impl_->session->Stop(impl_->config.farewell_ns / kNanosPerMilli,
                         [&farewell] { farewell.set_value(); });
  });
  if (began) farewell.get_future().wait();
  impl_->session.reset();
  impl_->strand.Run([this] {
    impl_->heartbeat.reset();
    impl_->reconciler.reset();
    impl_->drivers.Clear();
  });
  impl_->strand.Stop();
}

::agent::v1::StatusResponse Agent::GetStatus() {
  ::agent::v1::StatusResponse status;
  impl_->strand.Run([&] { status = impl_->DescribeStatus(); });
  return status;
}

::agent::v1::HaltResponse Agent::Halt() {
  ::agent::v1::HaltResponse response;
  impl_->strand.Run([&] { response = impl_->Halt(); });
  return response;
}

void Agent::Resume() {
  impl_->strand.Run([this] {
    std::error_code ignored;
    std::filesystem::remove(impl_->HaltFile(), ignored);
    impl_->reconciler->Resume(BoottimeNowNs());
    FL_LOG(info, "resumed: experiments that begin from now on are armed");
  });
}

}  // namespace faultline::agent
