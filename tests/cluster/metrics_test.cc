// Metrics from an agent on one node to subscribers on any.
#include <gtest/gtest.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

using chaos::v1::MetricUpdate;
using chaos::v1::SubscribeToMetricsRequest;

class Metrics : public ::testing::Test {
 protected:
  void SetUp() override {
    // The agent is on node 1 only; subscribers come to node 3.
    agent =
        std::make_unique<TestAgent>(TestAgent::Options{.controllers = {cluster.api_address(0)}});
    ASSERT_TRUE(Eventually([&] {
      const auto agents = cluster.Agents(2);
      return agents.ok() && agents->agents_size() == 1 && agents->agents(0).connected();
    }));
    stub = cluster.Stub(2);
    const auto started = cluster.StartExperiment(2, LatencyOn("service:checkout"));
    ASSERT_TRUE(started.ok()) << started.status();
    id = started->experiment_id();
  }
  Cluster cluster{{.nodes = 3}};
  std::unique_ptr<TestAgent> agent;
  std::unique_ptr<chaos::v1::ChaosController::Stub> stub;
  std::string id;
};

TEST_F(Metrics, ReachSubscribersOnAnotherNodeAndResumeWhereTheyEnded) {
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  request.set_include_histogram(true);
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) agent->SendMetrics(sequence, id, 640, 10);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  MetricUpdate update;
  // Batches of before may come or not (the relay keeps a little history); later ones do.
  uint64_t sequence = 5;
  ASSERT_TRUE(Eventually([&] { return agent->SendMetrics(++sequence, id, 640, 10); }));
  ASSERT_TRUE(stream->Read(&update));
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
  for (int i = 0; i < 3; ++i) agent->SendMetrics(++sequence, id, 640, 10);
  MetricUpdate next;
  ASSERT_TRUE(resumed->Read(&next));
  EXPECT_GT(next.position().sequence(), update.position().sequence());
  resumed_context.TryCancel();
}

TEST_F(Metrics, OfATargetComeWithoutAnExperiment) {
  SubscribeToMetricsRequest request;
  request.set_target("service:checkout");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  agent->SendMetrics(1, id, 640, 10);
  MetricUpdate update;
  ASSERT_TRUE(stream->Read(&update));
  EXPECT_EQ(update.experiment_id(), "");
  EXPECT_EQ(update.target_id(), agent->target_id());
  EXPECT_FALSE(update.has_latency());
  context.TryCancel();
}

TEST_F(Metrics, OfNamedExperimentsEndWithThem) {
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  ASSERT_TRUE(cluster.Stop(1, id, 20).ok());
  MetricUpdate update;
  while (stream->Read(&update)) {
  }
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(Metrics, WhatWaitsForALowRatesTurnComesBeforeTheEnd) {
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  request.set_rate_hz(0.01);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->SubscribeToMetrics(&context, request);
  MetricUpdate update;
  uint64_t sent = 0;
  ASSERT_TRUE(Eventually([&] { return agent->SendMetrics(++sent, id, 640, 10); }));
  ASSERT_TRUE(stream->Read(&update));
  uint64_t last = update.position().sequence();
  for (int i = 0; i < 20; ++i) agent->SendMetrics(++sent, id, 640, 10);
  ASSERT_TRUE(cluster.Stop(1, id, 20).ok());
  while (stream->Read(&update)) {
    last += 1 + update.merged_batches() + update.missed_batches();
    EXPECT_EQ(update.position().sequence(), last);
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(last, sent);
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
