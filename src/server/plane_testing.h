// A control plane without a log: what a test commands is applied at once.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "server/control_plane.h"

namespace faultline::server {

class PlaneTest : public ::testing::Test {
 protected:
  void Apply(control::v1::Command command) {
    command.set_time_unix_ms(1'000);
    plane.Apply(++index, 1, command.SerializeAsString(), /*wanted=*/false);
  }
  // An agent with a target "<id>/x" labelled service:<id> and any:yes.
  void Register(const std::string& id) {
    control::v1::Command command;
    auto* agent = command.mutable_register_agent()->mutable_agent();
    agent->set_agent_id(id);
    agent->set_incarnation(1);
    auto* target = agent->add_targets();
    target->set_target_id(id + "/x");
    (*target->mutable_labels())["service"] = id;
    (*target->mutable_labels())["any"] = "yes";
    Apply(command);
  }
  // An experiment of a second; its id.
  std::string StartOn(const std::string& selector) {
    control::v1::Command command;
    command.mutable_create_experiment()->set_target(selector);
    command.mutable_create_experiment()->set_duration_ms(1'000);
    command.mutable_create_experiment()->add_faults();
    Apply(command);
    return fmt::format("exp-{}", index);
  }

  Strand timers{"timers"};
  ControlPlane plane{&timers};
  uint64_t index = 0;  // of the last command
};

}  // namespace faultline::server
