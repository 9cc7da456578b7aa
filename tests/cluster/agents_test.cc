// What the control plane makes of agents and of what is asked of it.
#include <gtest/gtest.h>

#include <thread>

#include "base/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

constexpr char kSelector[] = "service:checkout,version:v1";

struct BadStart {
  const char* what;
  StatusCode code;
  const char* reason;
  std::function<void(chaos::v1::StartExperimentRequest*)> change;
};

const BadStart kBadStarts[] = {
    {"unknown fault kind", StatusCode::kInvalidArgument, "UNKNOWN_FAULT_KIND",
     [](auto* r) { r->set_fault_type("NETWORK_MAGIC"); }},
    {"neither form of fault", StatusCode::kInvalidArgument, "INVALID_PARAMETER",
     [](auto* r) { r->clear_fault_type(); }},
    {"both forms of fault", StatusCode::kInvalidArgument, "INVALID_PARAMETER",
     [](auto* r) { r->add_faults()->set_kind("NETWORK_LOSS"); }},
    {"unknown parameter", StatusCode::kInvalidArgument, "UNKNOWN_PARAMETER",
     [](auto* r) { (*r->mutable_parameters())["delay"] = "1"; }},
    {"foreign unit", StatusCode::kInvalidArgument, "INVALID_PARAMETER",
     [](auto* r) { (*r->mutable_parameters())["delay_ms"] = "10 miles"; }},
    {"out of range", StatusCode::kInvalidArgument, "INVALID_PARAMETER",
     [](auto* r) { (*r->mutable_parameters())["delay_ms"] = "60001"; }},
    {"too long", StatusCode::kInvalidArgument, "INVALID_PARAMETER",
     [](auto* r) { r->mutable_duration()->set_seconds(24 * 3600 + 1); }},
    {"too short", StatusCode::kInvalidArgument, "INVALID_PARAMETER",
     [](auto* r) { r->mutable_duration()->set_nanos(999'999'999); }},
    {"no selector", StatusCode::kInvalidArgument, "INVALID_SELECTOR",
     [](auto* r) { r->clear_target(); }},
    {"unknown selector key", StatusCode::kInvalidArgument, "UNKNOWN_SELECTOR_KEY",
     [](auto* r) { r->set_target("svc:checkout"); }},
    {"nothing matched", StatusCode::kNotFound, "NO_TARGET_MATCHES",
     [](auto* r) { r->set_target("service:billing"); }},
};

TEST(BadInput, IsRefusedWithItsReasonAndChangesNothing) {
  Cluster cluster({.nodes = 3});
  TestAgent agent({.controllers = cluster.api_addresses()});
  const int follower = cluster.Follower();
  ASSERT_TRUE(cluster.WaitForAgent(follower));
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  const auto refuse_all = [&] {
    for (const BadStart& bad : kBadStarts) {
      auto request = LatencyOn(kSelector);
      bad.change(&request);
      const auto refused = cluster.StartExperiment(follower, request);
      EXPECT_EQ(refused.status().code(), bad.code) << bad.what << ": " << refused.status();
      const auto detail = DetailOf(refused.status());
      ASSERT_TRUE(detail.has_value()) << bad.what;
      EXPECT_EQ(detail->reason(), bad.reason) << bad.what;
      EXPECT_EQ(detail->violations_size(), 1) << bad.what;
    }
    EXPECT_EQ(cluster.Get(follower, "exp-7777").status().code(), StatusCode::kNotFound);
    EXPECT_EQ(cluster.Stop(follower, "exp-7777", 0).status().code(), StatusCode::kNotFound);
  };
  // Only the refused stop reaches the log, each time; what the nodes themselves have to say, such
  // as who leads, does now and then.
  EXPECT_TRUE(Eventually([&] {
    const auto before = cluster.List(follower);
    refuse_all();
    const auto after = cluster.List(follower);
    EXPECT_TRUE(!after.ok() || after->experiments().empty());
    return HasFailure() ||
           (before.ok() && after.ok() && after->revision() <= before->revision() + 1);
  }));
}

TEST(Agents, ThatCannotAreRefusedInTheirOwnWords) {
  Cluster cluster({});
  TestAgent agent({.controllers = cluster.api_addresses(), .can_delay = false});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  const auto refused = cluster.StartExperiment(0, LatencyOn(kSelector));
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf(refused.status())->reason(), "CAPABILITY_MISSING");
  EXPECT_NE(ToString(refused.status().message()).find("this kernel has no TC programs"),
            std::string::npos);
}

TEST(Agents, ThatAreGoneAreNamedAndTheirFaultsAreLostOnlyAfterEveryLease) {
  Cluster cluster({.lease = "3s"});
  auto agent =
      std::make_unique<TestAgent>(TestAgent::Options{.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  const auto started = cluster.StartExperiment(0, LatencyOn(kSelector));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->experiment_id();
  ASSERT_TRUE(cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_ACTIVE));
  ASSERT_TRUE(Eventually([&] { return agent->grants() > 0; }));
  const uint64_t lease_end_ns = agent->lease_end_ns();
  agent.reset();
  ASSERT_TRUE(Eventually([&] { return !cluster.Agents(0)->agents(0).connected(); }));
  auto other = LatencyOn(kSelector);
  (*other.mutable_parameters())["direction"] = "ingress";
  const auto refused = cluster.StartExperiment(0, other);
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(ToString(refused.status().message()),
            "agent 'host' of target 'host/checkout' is not connected");
  ASSERT_TRUE(cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_LOST));
  EXPECT_GE(BoottimeNowNs(), lease_end_ns);
  EXPECT_EQ(cluster.Get(0, id)->status(), chaos::v1::EXPERIMENT_STATUS_COMPLETED);
}

// The node of the cluster once more, with another lease.
std::unique_ptr<Process> StartWithLease(const Cluster& cluster, int node, const std::string& lease,
                                        const std::string& log_path) {
  std::string members;
  for (int i = 0; i < cluster.size(); ++i) {
    members += fmt::format("{}{}={}", i == 0 ? "" : ",", i + 1, cluster.peer_address(i));
  }
  return std::make_unique<Process>(
      std::vector<std::string>{Cluster::DefaultProgram(), "--id", fmt::format("{}", node + 1),
                               "--data-dir", cluster.data_dir(node), "--api-listen",
                               cluster.api_address(node), "--peer-listen",
                               cluster.peer_address(node), "--members", members, "--lease", lease,
                               "--http-listen", "off"},
      log_path);
}

// While the lease is being changed from node to node, the node that grants the longer one may be
// gone together with the agent, and the leader may never have heard of the two.
TEST(Agents, ThatHoldALongerLeaseThanTheLeadersAreNotLostBeforeItHasRunOut) {
  constexpr int64_t kLongS = 6;
  const TempDir logs;
  Cluster cluster({.nodes = 3, .lease = "1s"});
  const int leader = cluster.WaitForLeader();
  const int holder = (leader + 1) % 3, other = (leader + 2) % 3;
  cluster.process(holder).Kill();
  const auto holding =
      StartWithLease(cluster, holder, fmt::format("{}s", kLongS), logs.path() + "/log");
  TestAgent agent({.controllers = {cluster.api_address(holder)}});
  ASSERT_TRUE(Eventually([&] {
    const auto agents = cluster.Agents(other);
    return agents.ok() && agents->agents_size() > 0 &&
           agents->agents(0).lease().seconds() == kLongS;
  })) << holding->log();
  const auto started = cluster.StartExperiment(other, LatencyOn(kSelector));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->experiment_id();
  ASSERT_TRUE(cluster.WaitForPhase(other, id, chaos::v1::TARGET_PHASE_ACTIVE));
  ASSERT_TRUE(Eventually([&] { return agent.last_grant().lease().seconds() == kLongS; }));
  holding->Kill();
  const uint64_t lease_end_ns = agent.lease_end_ns();
  cluster.process(leader).Kill();
  cluster.Start(leader);
  ASSERT_TRUE(cluster.WaitForPhase(other, id, chaos::v1::TARGET_PHASE_LOST));
  EXPECT_GE(BoottimeNowNs(), lease_end_ns);
}

TEST(Agents, ThatComeBackInTimeKeepTheirFaults) {
  Cluster cluster({});
  auto agent =
      std::make_unique<TestAgent>(TestAgent::Options{.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  const auto started = cluster.StartExperiment(0, LatencyOn(kSelector));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->experiment_id();
  ASSERT_TRUE(cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_ACTIVE));
  agent.reset();
  agent = std::make_unique<TestAgent>(
      TestAgent::Options{.incarnation = 2, .controllers = cluster.api_addresses()});
  ASSERT_TRUE(Eventually([&] { return agent->desired() == 1; }));
  const auto desired = agent->last_desired().faults(0);
  EXPECT_EQ(desired.experiment_id(), id);
  EXPECT_EQ(desired.kind(), "NETWORK_LATENCY");
  EXPECT_LE(desired.remaining().seconds(), 600);
  EXPECT_GT(desired.remaining().seconds(), 500);
  ASSERT_TRUE(cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_ACTIVE));
  EXPECT_EQ(cluster.Agents(0)->agents(0).incarnation(), 2u);
}

TEST(Experiments, ExpireAndCompleteByThemselves) {
  Cluster cluster({});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  auto request = LatencyOn(kSelector);
  // One whose time is up before it was armed, as on a busy machine, has failed.
  StatusOr<chaos::v1::Experiment> ended;
  for (const int64_t seconds : {1, 4, 16}) {
    request.mutable_duration()->set_seconds(seconds);
    const auto started = cluster.StartExperiment(0, request);
    ASSERT_TRUE(started.ok()) << started.status();
    const std::string id = started->experiment_id();
    ASSERT_TRUE(cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_REVERTED));
    ended = cluster.Get(0, id);
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->phase(), "expired");
    if (ended->status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED) break;
  }
  EXPECT_EQ(ended->status(), chaos::v1::EXPERIMENT_STATUS_COMPLETED);
}

TEST(Experiments, ThatContradictAnotherAreRefusedNamingIt) {
  Cluster cluster({.nodes = 3});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  // Two at once, through different nodes: one is let in.
  StatusOr<chaos::v1::Experiment> first, second;
  const auto fail = [](const char* failure) {
    auto request = LatencyOn(kSelector);
    request.set_fault_type("CONNECT_FAIL");
    *request.mutable_parameters() = {};
    (*request.mutable_parameters())["failure"] = failure;
    return request;
  };
  std::thread racer([&] { first = cluster.StartExperiment(1, fail("refused")); });
  second = cluster.StartExperiment(2, fail("timed_out"));
  racer.join();
  ASSERT_NE(first.ok(), second.ok());
  const auto& winner = first.ok() ? first : second;
  const auto& loser = first.ok() ? second : first;
  EXPECT_EQ(loser.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf(loser.status())->reason(), "TARGET_BUSY");
  EXPECT_EQ(DetailOf(loser.status())->metadata().at("experiment_id"), winner->experiment_id());
}

TEST(Watch, TellsThePresentStateThenEveryChangeAndResumes) {
  Cluster cluster({});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  const auto stub = cluster.Stub(0);
  grpc::ClientContext context;
  const auto watch = stub->WatchExperiments(&context, {});
  chaos::v1::WatchExperimentsResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_TRUE(response.experiments().empty());
  const auto started = cluster.StartExperiment(0, LatencyOn(kSelector));
  ASSERT_TRUE(started.ok()) << started.status();
  std::vector<std::string> phases;
  uint64_t revision = response.revision();
  while (phases.empty() || phases.back() != "active") {
    ASSERT_TRUE(watch->Read(&response));
    EXPECT_GT(response.revision(), revision);
    revision = response.revision();
    phases.push_back(response.experiments(0).phase());
    EXPECT_EQ(response.experiments(0).revision(), revision);
  }
  EXPECT_EQ(phases, (std::vector<std::string>{"arming", "active"}));
  context.TryCancel();

  ASSERT_TRUE(cluster.Stop(0, started->experiment_id(), 20).ok());
  grpc::ClientContext resumed_context;
  chaos::v1::WatchExperimentsRequest request;
  request.set_after_revision(revision);
  const auto resumed = stub->WatchExperiments(&resumed_context, request);
  ASSERT_TRUE(resumed->Read(&response));
  EXPECT_GT(response.revision(), revision);
  EXPECT_EQ(response.experiments(0).experiment_id(), started->experiment_id());
  resumed_context.TryCancel();
}

}  // namespace
}  // namespace faultline::cluster
