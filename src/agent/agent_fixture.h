// An agent between a controller's node and a host that are made of nothing, for the tests of this
// folder.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/test_node.h"
#include "base/clock.h"

namespace faultline::agent {

// What a test looks at while the agent uses it.
struct Host {
  Host() : map_fd(memfd_create("page", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(map_fd, 4096), 0);
    page = static_cast<faults::LeasePage*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0));
  }
  ~Host() {
    munmap(page, 4096);
    close(map_fd);
  }
  std::set<faults::FaultKey> Armed() {
    const std::lock_guard lock(mutex);
    return armed;
  }
  int map_fd;
  faults::LeasePage* page;
  std::mutex mutex;
  std::set<faults::FaultKey> armed;
  // Set before the agent is started.
  std::vector<std::string> warnings;
  faults::DriverLoad load;
  std::function<void()> before_arm = [] {}, before_disarm = [] {};
  // One status per target.
  std::function<std::vector<Status>(size_t targets)> look = [](size_t targets) {
    return std::vector<Status>(targets);
  };
  std::atomic<int> readings{0};  // of samples
};

class HostDriver : public faults::Driver {
 public:
  HostDriver(Host* host, const faults::DriverContext& context) : host_(host) {
    context.on_lease_page(host->map_fd, host->page);
  }
  std::vector<chaos::v1::Capability> Probe() override {
    chaos::v1::Capability capability;
    capability.set_name("tc");
    capability.set_available(true);
    return {capability};
  }
  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override {
    return host_->look(targets.size());
  }
  std::vector<std::string> Warnings() const override { return host_->warnings; }
  Status Arm(const faults::ArmRequest& request) override {
    host_->before_arm();
    const std::lock_guard lock(host_->mutex);
    host_->armed.insert(request.key);
    return absl::OkStatus();
  }
  Status Disarm(const faults::FaultKey& key) override {
    host_->before_disarm();
    const std::lock_guard lock(host_->mutex);
    host_->armed.erase(key);
    return absl::OkStatus();
  }
  std::vector<faults::FaultKey> Armed() override {
    const std::lock_guard lock(host_->mutex);
    return {host_->armed.begin(), host_->armed.end()};
  }
  void ReadSamples(std::vector<chaos::v1::TargetSample>* samples) override {
    ++host_->readings;
    samples->emplace_back().set_target_id("host-1/a");
  }
  faults::DriverLoad Load() override { return host_->load; }

 private:
  Host* const host_;
};

inline chaos::v1::StateVersion Version(uint64_t revision) {
  chaos::v1::StateVersion version;
  version.set_cluster_id("c");
  version.set_term(1);
  version.set_revision(revision);
  return version;
}

class AgentTest : public testing::Test {
 protected:
  AgentTest() {
    char pattern[] = "/tmp/agent_test_XXXXXX";
    folder_ = mkdtemp(pattern);
    config_.agent_id = "host-1";
    // A slow machine may make the agent late, never wrong.
    config_.heartbeat_ns = 10 * kNanosPerSecond;
    config_.farewell_ns = 60 * kNanosPerSecond;
    config_.state_dir = folder_;
    config_.targets.emplace_back().set_target_id("host-1/a");
    journal_ = *UndoJournal::Open(folder_ + "/undo.journal");
    guardian_ = *Guardian::Fork(
        {folder_ + "/undo.journal", -1, [](const auto&, const auto&) { return absl::OkStatus(); }});
  }
  ~AgentTest() override {
    agent_.reset();
    guardian_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Start(const std::vector<std::string>& controllers) {
    agent_.reset();
    config_.controllers = controllers;
    FaultGroups groups;
    groups.make_drivers = [this](const faults::DriverContext& context) {
      std::vector<faults::NamedDriver> drivers;
      drivers.push_back({"group", std::make_unique<HostDriver>(&host_, context)});
      return StatusOr<std::vector<faults::NamedDriver>>(std::move(drivers));
    };
    groups.group_of = [](const std::string&) { return "group"; };
    auto agent = Agent::Start(config_, groups, guardian_.get(), journal_.get());
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }
  static void Desire(TestNode& node, uint64_t revision, const std::vector<std::string>& ids) {
    chaos::v1::ConnectResponse response;
    *response.mutable_desired()->mutable_version() = Version(revision);
    for (const std::string& id : ids) {
      auto* fault = response.mutable_desired()->add_faults();
      fault->set_experiment_id(id);
      fault->set_target_id("host-1/a");
      fault->mutable_remaining()->set_seconds(3'600);
    }
    node.Say(response);
  }
  // The next report about an experiment.
  static chaos::v1::FaultReport Report(TestNode& node, const std::string& id,
                                       chaos::v1::TargetPhase phase) {
    const auto find =
        [&](const chaos::v1::ConnectRequest& request) -> const chaos::v1::FaultReport* {
      for (const auto& report : request.reports().reports()) {
        if (report.experiment_id() == id && report.phase() == phase) return &report;
      }
      return nullptr;
    };
    const auto request = node.Hear([&](const auto& heard) { return find(heard) != nullptr; });
    return *find(request);
  }

  std::string folder_;
  Config config_;
  Host host_;
  std::unique_ptr<UndoJournal> journal_;
  std::unique_ptr<Guardian> guardian_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace faultline::agent
