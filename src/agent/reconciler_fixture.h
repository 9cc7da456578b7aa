// A reconciler over a driver that does as it is told, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "agent/reconciler.h"

namespace faultline::agent {

inline constexpr uint64_t kSecond = 1'000'000'000;

// Remembers what is armed, and fails when told to.
class FakeDriver : public faults::Driver {
 public:
  std::vector<chaos::v1::Capability> Probe() override { return {}; }
  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override {
    return std::vector<Status>(targets.size());
  }
  Status Arm(const faults::ArmRequest& request) override {
    ++arm_calls;
    calls.push_back("arm " + request.key.experiment_id);
    if (!arm_status.ok()) return arm_status;
    armed[request.key] = request;
    return absl::OkStatus();
  }
  Status Disarm(const faults::FaultKey& key) override {
    calls.push_back("disarm " + key.experiment_id);
    if (!disarm_status.ok()) return disarm_status;
    armed.erase(key);
    return absl::OkStatus();
  }
  std::vector<faults::FaultKey> Armed() override {
    std::vector<faults::FaultKey> keys;
    for (const auto& [key, request] : armed) keys.push_back(key);
    return keys;
  }
  std::string WhyGone(const faults::FaultKey&) const override { return why_gone; }
  void ReadSamples(std::vector<chaos::v1::TargetSample>*) override {}

  std::map<faults::FaultKey, faults::ArmRequest> armed;
  Status arm_status, disarm_status;
  std::string why_gone;
  std::vector<std::string> calls;  // of Arm and Disarm
  int arm_calls = 0;
};

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() { reconciler_.SetLeaseHeld(true, now_); }
  const faults::FaultKey key_{"e1", 0, "host/a"};

  void Desire(std::vector<std::string> experiments, int64_t remaining_s = 60,
              const std::string& kind = "KNOWN") {
    chaos::v1::DesiredState desired;
    desired.mutable_version()->set_revision(++revision_);
    for (const std::string& experiment : experiments) {
      auto* fault = desired.add_faults();
      fault->set_experiment_id(experiment);
      fault->set_target_id("host/a");
      fault->set_kind(kind);
      fault->mutable_remaining()->set_seconds(remaining_s);
    }
    reconciler_.SetDesired(desired, now_);
  }
  // "ACTIVE", "REVERTED: reason" of experiment e1, or "" when it is not reported.
  std::string Reported() {
    const auto reports = reconciler_.Reports(now_);
    for (const auto& report : reports.reports()) {
      if (report.experiment_id() != "e1") continue;
      std::string text = chaos::v1::TargetPhase_Name(report.phase()).substr(13);
      if (!report.reason().empty()) text += ": " + report.reason();
      return text;
    }
    return "";
  }
  void Advance(uint64_t ns) {
    now_ += ns;
    reconciler_.Tick(now_);
  }

  FakeDriver driver_;
  uint64_t now_ = 1'000 * kSecond;
  uint64_t revision_ = 0;
  std::vector<size_t> edges_;  // how many faults were armed at each
  std::vector<size_t> steps_;  // how many calls the driver had had when go_on was called
  bool has_time_ = true;       // what that says
  Reconciler reconciler_{
      [this](const std::string& kind) { return kind == "KNOWN" ? &driver_ : nullptr; },
      {&driver_},
      [this] { edges_.push_back(driver_.armed.size()); },
      [this](uint64_t begun_ns) {
        EXPECT_EQ(begun_ns, now_);
        steps_.push_back(driver_.calls.size());
        return has_time_;
      }};
};

}  // namespace faultline::agent
