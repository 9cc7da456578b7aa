#include "agent/status_text.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

namespace faultline::agent {
namespace {

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + duration.nanos() / 1e9;
}

std::string Place(const chaos::v1::Target& target) {
  std::string text = target.interface();
  if (!target.netns().empty()) text += " in " + target.netns();
  if (target.at_host_end()) text += ", host end";
  if (!target.cgroup().empty()) text += ", cgroup " + target.cgroup();
  return text;
}

std::string FaultLine(const ::agent::v1::LocalFault& fault) {
  const std::string phase = chaos::v1::TargetPhase_Name(fault.phase()).substr(13);
  std::string line = fmt::format("  {:<10} {} on {}, experiment {} fault {}", phase, fault.kind(),
                                 fault.target_id(), fault.experiment_id(), fault.fault_index());
  if (fault.armed()) line += fmt::format(", {:.0f} s left", Seconds(fault.time_left()));
  if (!fault.reason().empty()) line += ": " + fault.reason();
  return line + "\n";
}

}  // namespace

std::string StatusText(const ::agent::v1::StatusResponse& status) {
  const auto& agent = status.agent();
  std::string text =
      fmt::format("agent       {} (incarnation {:016x}, version {}, kernel {})\n", agent.agent_id(),
                  agent.incarnation(), agent.software_version(), agent.kernel());
  text += fmt::format("controller  {} {}\n", status.controller(),
                      agent.connected() ? "(connected)" : "(not connected)");
  const double lease_left_s = Seconds(status.lease_left());
  text += lease_left_s > 0 ? fmt::format("lease       {:.1f} s left\n", lease_left_s)
                           : "lease       none\n";
  text += fmt::format("guardian    process {}, heartbeat {:.0f} ms\n", status.guardian_pid(),
                      Seconds(status.heartbeat()) * 1e3);
  if (status.halted()) text += "halted      nothing is armed until `faultline-agent resume`\n";
  text += fmt::format("targets     {}\n", agent.targets_size());
  for (const auto& target : agent.targets()) {
    text += fmt::format("  {:<24} {}\n", target.target_id(), Place(target));
  }
  for (const std::string& problem : status.problems()) text += "  problem: " + problem + "\n";
  for (const std::string& warning : status.warnings()) text += "  warning: " + warning + "\n";
  text += fmt::format("faults      {}\n", status.faults_size());
  for (const auto& fault : status.faults()) text += FaultLine(fault);
  for (const std::string& sentence : status.left_behind()) {
    text += "  LEFT BEHIND, tried again: " + sentence + "\n";
  }
  text += "kernel\n";
  text += CapabilitiesText({agent.capabilities().begin(), agent.capabilities().end()});
  return text;
}

std::string StatusJson(const ::agent::v1::StatusResponse& status) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  // Cannot fail: the message holds no Any.
  (void)google::protobuf::util::MessageToJsonString(status, &json, options);
  return json + "\n";
}

std::string CapabilitiesText(const std::vector<chaos::v1::Capability>& capabilities) {
  std::string text;
  for (const auto& capability : capabilities) {
    text += fmt::format("  {:<16} {}{}\n", capability.name(), capability.available() ? "yes" : "no",
                        capability.reason().empty() ? "" : "   " + capability.reason());
  }
  return text;
}

}  // namespace faultline::agent
