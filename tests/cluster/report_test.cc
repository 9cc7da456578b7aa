// Reports: measured on one node, read on any, and kept through restarts.
#include <gtest/gtest.h>

#include <set>

#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

constexpr uint64_t kBatches = 20, kRequests = 10;
constexpr uint32_t kBucket = 640;  // 1.05 ms

// An experiment on an agent of `node`, measured while it was active, and stopped.
std::string RunExperiment(Cluster& cluster, TestAgent& agent, int node) {
  EXPECT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  const auto started = cluster.StartExperiment(node, LatencyOn("service:checkout"));
  if (!started.ok()) return "";
  const std::string& id = started->experiment_id();
  EXPECT_TRUE(cluster.WaitForPhase(node, id, chaos::v1::TARGET_PHASE_ACTIVE));
  for (uint64_t sequence = 1; sequence <= kBatches; ++sequence) {
    EXPECT_TRUE(agent.SendMetrics(sequence, id, kBucket, kRequests));
  }
  EXPECT_EQ(cluster.GetReport(node, id).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(cluster.Stop(node, id, 30).ok());
  return id;
}

TEST(Reports, AreTheSameOnEveryNodeAndOutliveRestarts) {
  Cluster cluster({.nodes = 3});
  const int follower = cluster.Follower();
  TestAgent agent({.controllers = {cluster.api_address(follower)}});
  const std::string id = RunExperiment(cluster, agent, follower);
  ASSERT_NE(id, "");
  StatusOr<chaos::v1::Report> report;
  const auto is_whole = [&](int node) {
    report = cluster.GetReport(node, id);
    return report.ok() && report->targets_size() == 1 && report->events_size() > 0;
  };
  for (int node = 0; node < cluster.size(); ++node) {
    ASSERT_TRUE(Eventually([&] { return is_whole(node); })) << report.status();
    const auto& target = report->targets(0);
    EXPECT_EQ(target.target_id(), agent.target_id());
    EXPECT_EQ(target.during().requests(), kBatches * kRequests);
    EXPECT_EQ(target.during().latency().index(0), kBucket);
    EXPECT_EQ(target.faults(0).counters().dropped(), kBatches);
    EXPECT_EQ(target.batches(), kBatches);
    EXPECT_EQ(target.node_ids_size(), 1);
    std::set<std::string> words;
    for (const auto& event : report->events()) words.insert(event.what());
    EXPECT_TRUE(words.contains("active") && words.contains("completed"));
    EXPECT_EQ(report->experiment().experiment_id(), id);
  }
  const std::string before = report->targets(0).SerializeAsString();
  cluster.process(follower).Kill();
  cluster.Start(follower);
  ASSERT_TRUE(Eventually([&] { return is_whole(follower); })) << report.status();
  EXPECT_EQ(report->targets(0).SerializeAsString(), before);
}

TEST(Reports, AreMadeWhileOneOfThreeNodesIsDeadWhoeverLed) {
  for (const bool leader_dies : {true, false}) {
    Cluster cluster({.nodes = 3});
    const int dies = leader_dies ? cluster.WaitForLeader() : cluster.Follower();
    TestAgent agent({.controllers = {cluster.api_address((dies + 1) % 3)}});
    // Every member must have been heard once.
    ASSERT_TRUE(Eventually([&] {
      for (int node = 0; node < 3; ++node) {
        if (cluster.process(node).log().find(": the cluster switches to it") != std::string::npos)
          return true;
      }
      return false;
    }));
    cluster.process(dies).Kill();
    const std::string id = RunExperiment(cluster, agent, (dies + 1) % 3);
    ASSERT_NE(id, "");
    StatusOr<chaos::v1::Report> report;
    EXPECT_TRUE(Eventually([&] {
      report = cluster.GetReport((dies + 2) % 3, id);
      return report.ok() && report->targets_size() == 1 && report->events_size() > 0;
    })) << report.status();
  }
}

TEST(Reports, AreWhatAStreamOfAnEndedExperimentBeginsWithAndThenItTellsTheEnd) {
  Cluster cluster({.nodes = 3});
  const int follower = cluster.Follower();
  TestAgent agent({.controllers = {cluster.api_address(follower)}});
  const std::string id = RunExperiment(cluster, agent, follower);
  ASSERT_NE(id, "");
  // At once: the report is not there yet, and waited for.
  for (int node = 0; node < cluster.size(); ++node) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 2 * kPatience);
    chaos::v1::SubscribeToMetricsRequest request;
    request.set_experiment_id(id);
    const auto stream = cluster.Stub(node)->SubscribeToMetrics(&context, request);
    uint64_t requests = 0, sequence = 0;
    int64_t drops = 0;
    chaos::v1::MetricUpdate update;
    while (stream->Read(&update) && !update.has_end()) {
      EXPECT_EQ(update.experiment_id(), id);
      EXPECT_EQ(update.target_id(), agent.target_id());
      EXPECT_EQ(update.position().incarnation(), 0u);
      EXPECT_EQ(update.position().sequence(), ++sequence);
      requests += update.request_count();
      drops = update.packet_drops();
    }
    EXPECT_EQ(update.experiment_id(), id);
    EXPECT_EQ(update.end().status(), chaos::v1::EXPERIMENT_STATUS_COMPLETED);
    EXPECT_FALSE(stream->Read(&update));
    EXPECT_TRUE(stream->Finish().ok());
    EXPECT_EQ(requests, kBatches * kRequests) << "node " << node;
    EXPECT_EQ(drops, static_cast<int64_t>(kBatches));
  }
}

TEST(Reports, OfUnknownExperimentsAreNotFound) {
  Cluster cluster({});
  EXPECT_EQ(cluster.GetReport(0, "exp-none").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace faultline::cluster
