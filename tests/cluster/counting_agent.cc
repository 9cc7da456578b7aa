#include "tests/cluster/counting_agent.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <ranges>

#include "base/clock.h"

namespace faultline::cluster {
namespace {

constexpr char kTarget[] = "host/checkout";

// On the agent's strand.
class CountingDriver final : public faults::Driver {
 public:
  explicit CountingDriver(const faults::DriverContext& context)
      : map_fd_(memfd_create("page", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(map_fd_, kPageBytes), 0);
    page_ = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd_, 0);
    context.on_lease_page(map_fd_, static_cast<faults::LeasePage*>(page_));
  }
  ~CountingDriver() override {
    munmap(page_, kPageBytes);
    close(map_fd_);
  }
  std::vector<chaos::v1::Capability> Probe() override {
    std::vector<chaos::v1::Capability> capabilities;
    for (const char* name : {"tc", "tun"}) {
      auto& capability = capabilities.emplace_back();
      capability.set_name(name);
      capability.set_available(true);
    }
    return capabilities;
  }
  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override {
    return std::vector<Status>(targets.size());
  }
  Status Arm(const faults::ArmRequest& request) override {
    armed_.try_emplace(request.key, readings_);  // one that is armed only lasts longer
    return absl::OkStatus();
  }
  Status Disarm(const faults::FaultKey& key) override {
    armed_.erase(key);
    return absl::OkStatus();
  }
  std::vector<faults::FaultKey> Armed() override {
    const auto keys = std::views::keys(armed_);
    return {keys.begin(), keys.end()};
  }
  void ReadSamples(std::vector<chaos::v1::TargetSample>* samples) override {
    ++readings_;
    auto& sample = samples->emplace_back();
    sample.set_target_id(kTarget);
    sample.set_packets(1);
    sample.set_bytes(readings_);
    for (const auto& [key, armed_at] : armed_) {
      auto* fault = sample.add_faults();
      fault->set_experiment_id(key.experiment_id);
      fault->set_fault_index(key.fault_index);
      fault->set_matched(readings_ - armed_at);
      fault->set_dropped(readings_ - armed_at);
    }
  }

 private:
  static constexpr size_t kPageBytes = 4096;
  const int map_fd_;
  void* page_ = nullptr;
  uint64_t readings_ = 0;
  std::map<faults::FaultKey, uint64_t> armed_;  // and the readings before it was
};

}  // namespace

CountingAgent::CountingAgent()
    : journal_(*agent::UndoJournal::Open(directory_.path() + "/undo.journal")),
      guardian_(
          *agent::Guardian::Fork({directory_.path() + "/undo.journal", -1,
                                  [](const auto&, const auto&) { return absl::OkStatus(); }})) {}

void CountingAgent::Start(const std::vector<std::string>& controllers, const rpc::TlsFiles& tls) {
  agent::Config config;
  config.agent_id = "host";
  // A slow machine may make the agent late, never wrong.
  config.heartbeat_ns = 10 * kNanosPerSecond;
  config.farewell_ns = 60 * kNanosPerSecond;
  config.state_dir = directory_.path();
  config.controllers = controllers;
  config.tls_ca_file = tls.ca_file;
  config.tls_cert_file = tls.cert_file;
  config.tls_key_file = tls.key_file;
  auto& target = config.targets.emplace_back();
  target.set_target_id(kTarget);
  target.set_name("checkout");
  (*target.mutable_labels())["service"] = "checkout";
  (*target.mutable_labels())["version"] = "v1";
  agent::FaultGroups groups;
  groups.make_drivers = [](const faults::DriverContext& context) {
    std::vector<faults::NamedDriver> drivers;
    drivers.push_back({"counting", std::make_unique<CountingDriver>(context)});
    return StatusOr<std::vector<faults::NamedDriver>>(std::move(drivers));
  };
  groups.group_of = [](const std::string&) { return "counting"; };
  groups.undo = [](const auto&, const auto&) { return absl::OkStatus(); };
  auto started = agent::Agent::Start(config, groups, guardian_.get(), journal_.get());
  ASSERT_TRUE(started.ok()) << started.status();
  agent_ = *std::move(started);
}

}  // namespace faultline::cluster
