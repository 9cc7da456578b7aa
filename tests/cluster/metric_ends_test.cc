// How streams of metrics tell that the experiments they name have ended.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/clock.h"
#include "client/client.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

using chaos::v1::MetricUpdate;
using chaos::v1::SubscribeToMetricsRequest;

void ExpectEnd(const MetricUpdate& update, const std::string& id, const std::string& reason) {
  EXPECT_EQ(update.experiment_id(), id);
  EXPECT_EQ(update.end().status(), chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  EXPECT_EQ(update.end().phase(), "stopped");
  EXPECT_EQ(update.end().reason(), reason);
  EXPECT_EQ(update.timestamp_ns() / 1'000'000'000, update.end().ended_at().seconds());
  EXPECT_FALSE(update.has_position());
}

class MetricEnds : public ::testing::Test {
 protected:
  void SetUp() override {
    // The agent is on node 1 only; subscribers come to node 3, and go on at node 2.
    agent =
        std::make_unique<TestAgent>(TestAgent::Options{.controllers = {cluster.api_address(0)}});
    client::Options options;
    options.addresses = cluster.api_address(2) + "," + cluster.api_address(1);
    options.timeout = kPatience;
    auto made = client::Client::Create(options);
    ASSERT_TRUE(made.ok()) << made.status();
    client = *std::move(made);
    ASSERT_TRUE(cluster.WaitForAgent(2));
  }
  std::string StartOne() {
    const auto started = cluster.StartExperiment(2, LatencyOn("service:checkout"));
    EXPECT_TRUE(started.ok()) << started.status();
    if (!started.ok()) return "";
    // One that is stopped before any target was active has failed, not completed.
    EXPECT_TRUE(cluster.WaitForPhase(2, started->experiment_id(), chaos::v1::TARGET_PHASE_ACTIVE));
    return started->experiment_id();
  }
  void StopOne(const std::string& id) {
    chaos::v1::StopExperimentRequest request;
    request.set_experiment_id(id);
    request.set_reason("enough");
    request.mutable_wait()->set_seconds(20);
    const auto stopped = client->StopExperiment(request);
    EXPECT_TRUE(stopped.ok()) << stopped.status();
  }
  // Sends batches about an experiment until the stream gives something.
  MetricUpdate FirstOf(client::MetricStream& stream, const std::string& id) {
    const std::jthread measuring([&](const std::stop_token& over) {
      while (!over.stop_requested()) {
        agent->SendMetrics(++sequence, id, 640, 10);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
    auto update = stream.Next();
    EXPECT_TRUE(update.ok()) << update.status();
    return update.ok() ? *std::move(update) : MetricUpdate();
  }
  // Sends a batch in which no experiment has a fault.
  void SendWithoutFault() {
    chaos::v1::MetricsBatch batch;
    batch.mutable_position()->set_sequence(++sequence);
    batch.set_interval_ns(100 * kNanosPerMilli);
    batch.add_samples()->set_target_id(agent->target_id());
    agent->SendBatch(std::move(batch));
  }
  // What comes from now on until the experiment's end, which is left out.
  static size_t ReadToEnd(client::MetricStream& stream, const std::string& id) {
    for (size_t measured = 0;; ++measured) {
      const auto update = stream.Next();
      EXPECT_TRUE(update.ok()) << update.status();
      if (!update.ok()) return measured;
      if (!update->has_end()) continue;
      ExpectEnd(*update, id, "enough");
      return measured;
    }
  }
  static void ExpectOver(client::MetricStream& stream) {
    EXPECT_EQ(stream.Next().status().code(), StatusCode::kOutOfRange);
  }

  Cluster cluster{{.nodes = 3}};
  std::unique_ptr<TestAgent> agent;
  std::unique_ptr<client::Client> client;
  uint64_t sequence = 0;
};

TEST_F(MetricEnds, ComeForEachNamedExperimentAndWithTheLastTheStreamIsOver) {
  const std::string first = StartOne(), second = StartOne();
  SubscribeToMetricsRequest request;
  request.add_experiment_ids(first);
  request.add_experiment_ids(second);
  const auto stream = client->SubscribeToMetrics(request);
  EXPECT_EQ(FirstOf(*stream, second).experiment_id(), second);
  StopOne(first);
  ReadToEnd(*stream, first);
  EXPECT_EQ(FirstOf(*stream, second).experiment_id(), second) << "it goes on";
  StopOne(second);
  ReadToEnd(*stream, second);
  ExpectOver(*stream);
}

// They wait for it three seconds at the most: a run that took longer tells nothing.
TEST_F(MetricEnds, ComeAfterWhatTheAgentMeasuredLastAndWithoutWaitingForMore) {
  constexpr int kRuns = 20;
  for (int run = 1;; ++run) {
    ASSERT_LE(run, kRuns) << "each end was told as late as that may be";
    const std::string id = StartOne();
    SubscribeToMetricsRequest request;
    request.set_experiment_id(id);
    const auto stream = client->SubscribeToMetrics(request);
    FirstOf(*stream, id);
    const uint64_t begun_ns = MonotonicNowNs();
    StopOne(id);
    const uint64_t last = ++sequence;
    agent->SendMetrics(last, id, 640, 10);
    const std::jthread measuring([&](const std::stop_token& over) {
      while (!over.stop_requested()) {
        SendWithoutFault();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
    uint64_t told = 0;
    for (;;) {
      const auto update = stream->Next();
      ASSERT_TRUE(update.ok()) << update.status();
      if (update->has_end()) break;
      told = update->position().sequence();
    }
    if (MonotonicNowNs() - begun_ns >= 3 * kNanosPerSecond) continue;
    EXPECT_EQ(told, last);
    ExpectOver(*stream);
    return;
  }
}

TEST_F(MetricEnds, OfOneThatHadEndedBeforeFollowOnItsCourse) {
  const std::string id = StartOne();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(agent->SendMetrics(++sequence, id, 640, 10));
  StopOne(id);
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  const auto stream = client->SubscribeToMetrics(request);
  EXPECT_GT(ReadToEnd(*stream, id), 0u);
  ExpectOver(*stream);
}

TEST_F(MetricEnds, DoNotEndAStreamOfTargets) {
  const std::string id = StartOne();
  StopOne(id);
  const std::string second = StartOne();
  SubscribeToMetricsRequest request;
  request.add_experiment_ids(id);
  request.add_experiment_ids(second);
  request.set_target("service:checkout");
  const auto stream = client->SubscribeToMetrics(request);
  ReadToEnd(*stream, id);
  StopOne(second);
  ReadToEnd(*stream, second);
  EXPECT_EQ(FirstOf(*stream, second).experiment_id(), "");
}

TEST_F(MetricEnds, AreToldToWhoResumesAfterThem) {
  const std::string id = StartOne();
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  const auto before = FirstOf(*client->SubscribeToMetrics(request), id);
  StopOne(id);
  *request.add_resume() = before.position();
  const auto stream = client->SubscribeToMetrics(request);
  ReadToEnd(*stream, id);
  ExpectOver(*stream);
}

class MetricEndsAtAnotherNode : public MetricEnds, public testing::WithParamInterface<int> {};

TEST_P(MetricEndsAtAnotherNode, AreToldAsByTheFirst) {
  const std::string id = StartOne();
  SubscribeToMetricsRequest request;
  request.set_experiment_id(id);
  const auto stream = client->SubscribeToMetrics(request);
  FirstOf(*stream, id);
  cluster.process(2).Signal(GetParam());
  cluster.process(2).Wait();
  FirstOf(*stream, id);
  StopOne(id);
  ReadToEnd(*stream, id);
  ExpectOver(*stream);
}
INSTANTIATE_TEST_SUITE_P(KilledOrStopped, MetricEndsAtAnotherNode,
                         testing::Values(SIGKILL, SIGTERM));

}  // namespace
}  // namespace faultline::cluster
