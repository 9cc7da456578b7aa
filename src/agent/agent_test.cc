#include "agent/agent.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "agent/local_service.h"
#include "agent/metrics_buffer.h"
#include "agent/test_node.h"
#include "base/clock.h"

namespace faultline::agent {
namespace {

using chaos::v1::ConnectRequest;

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
};

class FakeDriver : public faults::Driver {
 public:
  FakeDriver(Host* host, const faults::DriverContext& context) : host_(host) {
    context.on_lease_page(host->map_fd, host->page);
  }
  std::vector<chaos::v1::Capability> Probe() override {
    chaos::v1::Capability capability;
    capability.set_name("tc");
    capability.set_available(true);
    return {capability};
  }
  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override {
    return std::vector<Status>(targets.size());
  }
  Status Arm(const faults::ArmRequest& request) override {
    const std::lock_guard lock(host_->mutex);
    host_->armed.insert(request.key);
    return absl::OkStatus();
  }
  Status Disarm(const faults::FaultKey& key) override {
    const std::lock_guard lock(host_->mutex);
    host_->armed.erase(key);
    return absl::OkStatus();
  }
  std::vector<faults::FaultKey> Armed() override {
    const std::lock_guard lock(host_->mutex);
    return {host_->armed.begin(), host_->armed.end()};
  }
  void ReadSamples(std::vector<chaos::v1::TargetSample>* samples) override {
    samples->emplace_back().set_target_id("host-1/a");
  }

 private:
  Host* const host_;
};

chaos::v1::StateVersion Version(uint64_t revision) {
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
      drivers.push_back({"group", std::make_unique<FakeDriver>(&host_, context)});
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
      fault->mutable_remaining()->set_seconds(60);
    }
    node.Say(response);
  }
  // The next report about an experiment.
  static chaos::v1::FaultReport Report(TestNode& node, const std::string& id,
                                       chaos::v1::TargetPhase phase) {
    const auto find = [&](const ConnectRequest& request) -> const chaos::v1::FaultReport* {
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

TEST_F(AgentTest, IntroducesItselfWithTargetsAndCapabilities) {
  TestNode node(1);
  Start({node.address()});
  const auto agent = node.Hear().hello().agent();
  EXPECT_EQ(agent.agent_id(), "host-1");
  EXPECT_NE(agent.incarnation(), 0u);
  EXPECT_EQ(agent.targets(0).target_id(), "host-1/a");
  EXPECT_EQ(agent.capabilities(0).name(), "tc");
}

TEST_F(AgentTest, ArmsUnderALeaseReportsItAndRevertsWhenItIsNoLongerDesired) {
  TestNode node(1);
  node.GrantLeases(60, Version(1));
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(host_.Armed().size(), 1u);
  EXPECT_GT(host_.page->control_until_ns, BoottimeNowNs());
  EXPECT_GT(host_.page->heartbeat_until_ns, BoottimeNowNs());
  Desire(node, 3, {});
  EXPECT_EQ(Report(node, "e1", chaos::v1::TARGET_PHASE_REVERTED).reason(), "stopped");
  EXPECT_TRUE(host_.Armed().empty());
}

TEST_F(AgentTest, ArmsNothingWithoutALeaseAndDisarmsWhenItRunsOut) {
  TestNode node(1);
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  EXPECT_EQ(node.Hear([](const auto& heard) { return heard.reports().version().revision() == 2; })
                .reports()
                .reports_size(),
            0);
  EXPECT_TRUE(host_.Armed().empty());
  node.GrantLeases(3, Version(2));
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  node.GrantLeases(0, Version(2));
  while (!host_.Armed().empty()) usleep(1'000);
  EXPECT_LE(host_.page->control_until_ns, BoottimeNowNs());
}

TEST_F(AgentTest, RefusesAnOlderDesiredStateFromANodeThatLags) {
  TestNode first(1), lagging(2, false);
  first.GrantLeases(60, Version(5));
  lagging.GrantLeases(60, Version(4));
  Start({first.address(), lagging.address()});
  first.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(first, 6, {"e2"});
  Report(first, "e2", chaos::v1::TARGET_PHASE_ACTIVE);
  lagging.BeginToWelcome();
  first.Kill();
  lagging.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(lagging, 4, {"e1", "e2"});
  Desire(lagging, 7, {"e2", "e3"});
  Report(lagging, "e3", chaos::v1::TARGET_PHASE_ACTIVE);
  for (const auto& key : host_.Armed()) EXPECT_NE(key.experiment_id, "e1");
}

TEST_F(AgentTest, MetricsHaveNoHoleAcrossAFailOver) {
  TestNode first(1), second(2, false);
  Start({first.address(), second.address()});
  const auto sequence_of = [](TestNode& node) {
    const auto heard = node.Hear([](const auto& any) { return any.has_metrics(); });
    return heard.metrics().position().sequence();
  };
  uint64_t last = 0, resumed = 0;
  while (last < 3) last = sequence_of(first);
  second.BeginToWelcome();
  first.Kill();
  // The newest batch when the second node was tried, at the most a second before it welcomed.
  chaos::v1::AgentHello hello;
  chaos::v1::AgentBaselines given;
  while (resumed == 0) {
    const auto heard = second.Hear();
    if (heard.has_hello()) hello = heard.hello();
    if (heard.has_baselines()) given = heard.baselines();
    resumed = heard.metrics().position().sequence();
  }
  const uint64_t newest = hello.metrics_sequence();
  EXPECT_EQ(hello.last_node_id(), 1u);
  EXPECT_EQ(given.targets_size(), 1) << "what it measured on its target, before any batch";
  EXPECT_GE(given.metrics_sequence(), newest);
  // However long it took: what the agent no longer keeps is a hole, and nothing else is.
  const uint64_t kept = (MetricsBuffer::kKeptSeconds - 1) * config_.metrics_rate_hz;
  EXPECT_LE(resumed, std::max(last, newest - std::min(newest, kept)) + 1);
  for (uint64_t expected = resumed + 1; expected < resumed + 5; ++expected) {
    EXPECT_EQ(sequence_of(second), expected);
  }
}

TEST_F(AgentTest, HaltDisarmsAtOnceAndHoldsOverARestart) {
  TestNode node(1);
  node.GrantLeases(60, Version(1));
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(agent_->Halt().disarmed(), 1u);
  EXPECT_TRUE(host_.Armed().empty());
  EXPECT_EQ(Report(node, "e1", chaos::v1::TARGET_PHASE_REVERTED).reason(), "halted locally");
  Start({node.address()});
  EXPECT_TRUE(agent_->GetStatus().halted());
  node.Hear([](const auto& heard) { return heard.has_hello(); });
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 3, {"e2"});
  EXPECT_EQ(Report(node, "e2", chaos::v1::TARGET_PHASE_REFUSED).reason(), "halted locally");
  agent_->Resume();
  Desire(node, 4, {"e3"});
  Report(node, "e3", chaos::v1::TARGET_PHASE_ACTIVE);
}

TEST_F(AgentTest, EndingRevertsTellsTheControlPlaneAndEndsTheHeartbeat) {
  TestNode node(1);
  node.GrantLeases(60, Version(1));
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  agent_.reset();
  EXPECT_TRUE(host_.Armed().empty());
  EXPECT_EQ(host_.page->heartbeat_until_ns, 0u);
  EXPECT_EQ(Report(node, "e1", chaos::v1::TARGET_PHASE_REVERTED).reason(), "the agent was stopped");
}

TEST_F(AgentTest, AnswersOnItsLocalSocketWithoutAnyController) {
  Start({"127.0.0.1:1"});
  const std::string path = folder_ + "/run/agent.sock";
  auto service = LocalService::Serve(path, agent_.get());
  ASSERT_TRUE(service.ok()) << service.status();
  const auto permissions = [](const auto& of) { return std::filesystem::status(of).permissions(); };
  EXPECT_EQ(permissions(path), std::filesystem::perms(0600));
  EXPECT_EQ(permissions(folder_ + "/run"), std::filesystem::perms(0700));
  const auto status = AskStatus(path);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->agent().agent_id(), "host-1");
  EXPECT_FALSE(status->agent().connected());
  EXPECT_EQ(status->guardian_pid(), guardian_->pid());
  EXPECT_FALSE(CheckSocketIsFree(path).ok());
  ASSERT_TRUE(AskHalt(path).ok());
  EXPECT_TRUE(AskStatus(path)->halted());
  ASSERT_TRUE(AskResume(path).ok());
  EXPECT_FALSE(AskStatus(path)->halted());
  service->reset();
  EXPECT_TRUE(CheckSocketIsFree(path).ok());
  EXPECT_EQ(AskStatus(path).status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace faultline::agent
