// Metrics from an agent on one node to subscribers on any.
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

using chaos::v1::MetricUpdate;
using chaos::v1::SubscribeToMetricsRequest;
using MetricReader = grpc::ClientReader<MetricUpdate>;

constexpr uint64_t kRequests = 10;  // in each batch

// Reads until `sequence`, and expects what lies behind `reached` to be told once and whole. Result:
// the batches that were missed.
uint64_t ExpectWholeUntil(uint64_t sequence, uint64_t reached, MetricReader* stream) {
  uint64_t missed = 0;
  MetricUpdate update;
  while (reached < sequence && stream->Read(&update)) {
    reached += 1 + update.merged_batches() + update.missed_batches();
    missed += update.missed_batches();
    EXPECT_EQ(update.position().sequence(), reached);
    EXPECT_EQ(update.packet_drops(), static_cast<int64_t>(reached));
    EXPECT_EQ(update.latency().count(0), kRequests * (1 + update.merged_batches()));
  }
  EXPECT_EQ(reached, sequence);
  return missed;
}

class Metrics : public ::testing::Test {
 protected:
  void SetUp() override {
    // The agent is on node 1 only; subscribers come to node 3.
    agent =
        std::make_unique<TestAgent>(TestAgent::Options{.controllers = {cluster.api_address(0)}});
    ASSERT_TRUE(cluster.WaitForAgent(2));
    stub = cluster.Stub(2);
    const auto started = cluster.StartExperiment(2, LatencyOn("service:checkout"));
    ASSERT_TRUE(started.ok()) << started.status();
    id = started->experiment_id();
  }
  // Sends batches, as often as agents do, until the stream gives something: what was sent long
  // before its node has asked the agent's for it, on a busy machine, does not come.
  MetricUpdate FirstOf(MetricReader* stream) {
    const std::jthread measuring([&](const std::stop_token& over) {
      while (!over.stop_requested()) {
        if (agent->SendMetrics(sequence + 1, id, 640, kRequests)) ++sequence;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    });
    MetricUpdate update;
    EXPECT_TRUE(stream->Read(&update));
    return update;
  }
  Cluster cluster{{.nodes = 3}};
  std::unique_ptr<TestAgent> agent;
  std::unique_ptr<chaos::v1::ChaosController::Stub> stub;
  std::string id;
  uint64_t sequence = 0;  // of the batch sent last
};

TEST_F(Metrics, ReachSubscribersOnAnotherNodeAndResumeWhereTheyEnded) {
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  request.set_include_histogram(true);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  const MetricUpdate update = FirstOf(stream.get());
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(update.experiment_id(), id);
  EXPECT_EQ(update.target_id(), agent->target_id());
  EXPECT_EQ(update.position().agent_id(), "host");
  EXPECT_EQ(update.packet_drops(), static_cast<int64_t>(update.position().sequence()));
  EXPECT_EQ(update.latency().index(0), 640u);
  EXPECT_GT(update.p99_latency_ms(), 1.0);
  EXPECT_LT(update.p99_latency_ms(), 1.1);
  context.TryCancel();

  SubscribeToMetricsRequest resume = request;
  *resume.add_resume() = update.position();
  grpc::ClientContext resumed_context;
  resumed_context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto resumed = stub->SubscribeToMetrics(&resumed_context, resume);
  for (int i = 0; i < 3; ++i) agent->SendMetrics(++sequence, id, 640, kRequests);
  EXPECT_EQ(ExpectWholeUntil(sequence, update.position().sequence(), resumed.get()), 0u);
  resumed_context.TryCancel();
}

TEST_F(Metrics, AreMarkedWhereTheAgentNoLongerHadWhatItsNodeTookAlong) {
  agent.reset();
  agent = std::make_unique<TestAgent>(
      TestAgent::Options{.controllers = {cluster.api_address(0), cluster.api_address(1)}});
  ASSERT_TRUE(Eventually([&] { return agent->connected(); }));
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  request.set_include_histogram(true);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  const uint64_t first = FirstOf(stream.get()).position().sequence();
  EXPECT_EQ(ExpectWholeUntil(sequence, first, stream.get()), 0u);
  cluster.process(0).Kill();
  ASSERT_TRUE(Eventually([&] {
    const auto agents = cluster.Agents(2);
    return agents.ok() && agents->agents(0).node_id() == 2 && agents->agents(0).connected();
  }));
  // The last one comes again; three are lost.
  for (const uint64_t later : {0, 4, 5, 6, 7}) {
    ASSERT_TRUE(agent->SendMetrics(sequence + later, id, 640, kRequests));
  }
  EXPECT_EQ(ExpectWholeUntil(sequence + 7, sequence, stream.get()), 3u);
  context.TryCancel();
}

TEST_F(Metrics, OfATargetComeWithoutAnExperiment) {
  SubscribeToMetricsRequest request;
  request.set_target("service:checkout");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  const MetricUpdate update = FirstOf(stream.get());
  EXPECT_EQ(update.experiment_id(), "");
  EXPECT_EQ(update.target_id(), agent->target_id());
  EXPECT_FALSE(update.has_latency());
  context.TryCancel();
}

TEST_F(Metrics, WhatWaitsForALowRatesTurnComesBeforeTheEnd) {
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  request.set_rate_hz(0.01);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  MetricUpdate update = FirstOf(stream.get());
  uint64_t last = update.position().sequence();
  for (int i = 0; i < 20; ++i) agent->SendMetrics(++sequence, id, 640, kRequests);
  ASSERT_TRUE(cluster.Stop(1, id, 20).ok());
  while (stream->Read(&update) && !update.has_end()) {
    last += 1 + update.merged_batches() + update.missed_batches();
    EXPECT_EQ(update.position().sequence(), last);
  }
  EXPECT_TRUE(update.has_end());
  EXPECT_FALSE(stream->Read(&update));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(last, sequence);
}

TEST_F(Metrics, OfAnUnknownExperimentAreNotFound) {
  SubscribeToMetricsRequest request;
  request.set_experiment_id("exp-7777");
  grpc::ClientContext context;
  const auto stream = stub->SubscribeToMetrics(&context, request);
  MetricUpdate update;
  EXPECT_FALSE(stream->Read(&update));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace faultline::cluster
