// Commands and reading of results for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control/apply.h"

namespace faultline::control::testing {

using chaos::v1::TargetPhase;

inline constexpr int64_t kStartMs = 1'700'000'000'000;

// Applies commands one after the other, a millisecond apart.
class Driver {
 public:
  State state;
  uint64_t index = 0;
  int64_t now_ms = kStartMs;

  Outcome Apply(v1::Command command) {
    now_ms += 1;
    command.set_time_unix_ms(now_ms);
    return control::Apply(state, command, ++index);
  }

  // An agent with targets "<id>/<name>" labelled service:<name>, version:v1. With a lease if its
  // node tells one.
  void Register(const std::string& id, uint64_t incarnation, const std::vector<std::string>& names,
                bool tun = true, int64_t lease_s = 0) {
    v1::Command command;
    auto* agent = command.mutable_register_agent()->mutable_agent();
    agent->set_agent_id(id);
    agent->set_incarnation(incarnation);
    agent->set_node_id(1);
    if (lease_s != 0) agent->mutable_lease()->set_seconds(lease_s);
    for (const auto& name : names) {
      auto* target = agent->add_targets();
      target->set_target_id(id + "/" + name);
      target->set_name(name);
      (*target->mutable_labels())["service"] = name;
      (*target->mutable_labels())["version"] = "v1";
    }
    auto* tc = agent->add_capabilities();
    tc->set_name("tc");
    tc->set_available(true);
    auto* lane = agent->add_capabilities();
    lane->set_name("tun");
    lane->set_available(tun);
    if (!tun) lane->set_reason("/dev/net/tun cannot be opened");
    Apply(command);
  }

  static v1::Command CreateCommand(const std::string& target, const std::string& request_id,
                                   const std::string& direction = "egress") {
    v1::Command command;
    auto* create = command.mutable_create_experiment();
    create->set_target(target);
    create->set_request_id(request_id);
    create->set_request_body(target + direction);
    create->set_duration_ms(60'000);
    create->set_seed(7);
    create->set_created_by("local");
    create->set_lease_ms(10'000);
    auto* fault = create->add_faults();
    fault->mutable_fault()->set_kind("KIND");
    (*fault->mutable_fault()->mutable_parameters())["a"] = "1";
    (*fault->mutable_fault()->mutable_parameters())["b"] = "2";
    fault->mutable_config()->set_type_url("type/kind");
    fault->add_occupies("network/" + direction);
    fault->add_capabilities("tun");
    return command;
  }

  // The new experiment's id; empty when refused, with the error in `error`.
  std::string Create(const std::string& target, const std::string& request_id = "",
                     const std::string& direction = "egress") {
    const Outcome outcome = Apply(CreateCommand(target, request_id, direction));
    error = outcome.result.has_error() ? FromError(outcome.result.error()) : absl::OkStatus();
    return error.ok() ? outcome.result.experiments(0).experiment_id() : "";
  }

  Outcome Report(const std::string& agent, uint64_t incarnation, const std::string& experiment,
                 const std::string& target, TargetPhase phase, const std::string& reason = "") {
    v1::Command command;
    command.mutable_report_faults()->set_agent_id(agent);
    command.mutable_report_faults()->set_incarnation(incarnation);
    auto* report = command.mutable_report_faults()->add_reports();
    report->set_experiment_id(experiment);
    report->set_target_id(target);
    report->set_phase(phase);
    report->set_reason(reason);
    return Apply(command);
  }

  Outcome Stop(const std::vector<std::string>& ids, bool all = false) {
    v1::Command command;
    auto* stop = command.mutable_stop_experiments();
    for (const auto& id : ids) stop->add_experiment_ids(id);
    stop->set_all(all);
    stop->set_stopped_by("tester");
    return Apply(command);
  }

  void Lose(const std::string& agent, uint64_t incarnation) {
    v1::Command command;
    command.mutable_agent_lost()->set_agent_id(agent);
    command.mutable_agent_lost()->set_incarnation(incarnation);
    Apply(command);
  }

  void RaiseVersion(uint32_t version) {
    v1::Command command;
    command.mutable_raise_version()->set_version(version);
    Apply(command);
  }

  void Disconnect(const std::string& agent, uint64_t incarnation, uint64_t node = 1) {
    v1::Command command;
    command.mutable_agent_disconnected()->set_agent_id(agent);
    command.mutable_agent_disconnected()->set_incarnation(incarnation);
    command.mutable_agent_disconnected()->set_node_id(node);
    Apply(command);
  }

  Outcome Expire() {
    v1::Command command;
    command.mutable_expire();
    return Apply(command);
  }

  const chaos::v1::Experiment& Get(const std::string& id) const {
    return state.Find(id)->experiment();
  }
  TargetPhase PhaseOf(const std::string& id, int pair = 0) const {
    return Get(id).targets(pair).phase();
  }

  Status error;
};

}  // namespace faultline::control::testing
