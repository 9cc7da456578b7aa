// A control plane without a log: what a test commands is applied at once.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "server/control_plane.h"

namespace faultline::server {

// Polls until `condition` holds; false when it does not for long.
inline bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 3'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

class PlaneTest : public ::testing::Test {
 protected:
  void Apply(control::v1::Command command) {
    command.set_time_unix_ms(1'000);
    plane.Apply(++index, 1, command.SerializeAsString(), /*wanted=*/false);
  }
  // An agent with a target "<id>/x" labelled service:<id> and any:yes; with a lease if its node
  // tells one.
  void Register(const std::string& id, int64_t lease_s = 0) {
    control::v1::Command command;
    auto* agent = command.mutable_register_agent()->mutable_agent();
    agent->set_agent_id(id);
    agent->set_incarnation(1);
    if (lease_s != 0) agent->mutable_lease()->set_seconds(lease_s);
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
