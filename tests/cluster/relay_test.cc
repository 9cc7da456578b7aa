// What nodes pass on to one another of their agents' measurements: counted by the nodes themselves.
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/http_get.h"
#include "tests/cluster/test_agent.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

using chaos::v1::MetricUpdate;

constexpr char kTaken[] = "faultline_metric_batches_total{from=\"node\"}";
constexpr char kMeasured[] = "faultline_metric_batches_total{from=\"agent\"}";
constexpr char kPassedOn[] = "faultline_metric_batches_relayed_total";
constexpr char kStreams[] =
    "faultline_rpc_open{service=\"server.v1.PeerService\",method=\"RelayMetrics\"}";

// Someone who wants an experiment's measurements.
class Reader {
 public:
  Reader(const Cluster& cluster, int node, const std::string& experiment_id)
      : stub_(cluster.Stub(node)) {
    chaos::v1::SubscribeToMetricsRequest request;
    request.set_experiment_id(experiment_id);
    context_.set_deadline(std::chrono::system_clock::now() + 4 * kPatience);
    stream_ = stub_->SubscribeToMetrics(&context_, request);
  }
  ~Reader() { context_.TryCancel(); }

  // Reads until that sequence; expects all to be of the agent, and none to be missed.
  void ExpectUntil(uint64_t sequence, const std::string& agent_id) {
    MetricUpdate update;
    while (update.position().sequence() < sequence && stream_->Read(&update)) {
      EXPECT_EQ(update.position().agent_id(), agent_id);
      EXPECT_EQ(update.missed_batches(), 0u);
    }
    EXPECT_EQ(update.position().sequence(), sequence);
  }

 private:
  const std::unique_ptr<chaos::v1::ChaosController::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<MetricUpdate>> stream_;
};

class Relays : public ::testing::Test {
 protected:
  static constexpr int kNodes = 3;

  Relays() : ports_(FreePorts(kNodes)) {
    Cluster::Options options{.nodes = kNodes};
    for (int node = 0; node < kNodes; ++node) {
      options.flags[node] = {"--http-listen",
                             fmt::format("127.0.0.1:{}", ports_[static_cast<size_t>(node)])};
    }
    cluster = std::make_unique<Cluster>(options);
  }
  std::unique_ptr<TestAgent> AgentOn(int node, const std::string& id) {
    return std::make_unique<TestAgent>(
        TestAgent::Options{.id = id, .controllers = {cluster->api_address(node)}});
  }
  // -1 when the node does not show it.
  double Value(int node, const std::string& series) const {
    const std::string text = "\n" + Get(ports_[static_cast<size_t>(node)], "/metrics").body;
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
  }
  bool Becomes(int node, const std::string& series, double value) const {
    return Eventually([&] { return Value(node, series) == value; });
  }

  const std::vector<int> ports_;
  std::unique_ptr<Cluster> cluster;
};

TEST_F(Relays, CarryTheAgentsOfAnExperimentOnceForAllWhoWantItAndEndWithThem) {
  const auto wanted = AgentOn(0, "wanted"), beside = AgentOn(0, "beside"), far = AgentOn(1, "far");
  ASSERT_TRUE(Eventually([&] {
    const auto agents = cluster->Agents(2);
    return agents.ok() && agents->agents_size() == 3;
  }));
  const auto started = cluster->StartExperiment(2, LatencyOn("agent:wanted"));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->experiment_id();
  auto first = std::make_unique<Reader>(*cluster, 2, id);
  auto second = std::make_unique<Reader>(*cluster, 2, id);
  ASSERT_TRUE(Becomes(2, "faultline_metric_subscribers", 2));
  ASSERT_TRUE(Becomes(2, "faultline_metric_agents_followed", 1));
  ASSERT_TRUE(Becomes(0, kStreams, 1));
  for (uint64_t sequence = 1; sequence <= 20; ++sequence) {
    for (TestAgent* agent : {beside.get(), far.get(), wanted.get()}) {
      ASSERT_TRUE(agent->SendMetrics(sequence, id, 640, 10));
    }
  }
  ASSERT_TRUE(Becomes(0, kMeasured, 40));
  ASSERT_TRUE(Becomes(1, kMeasured, 20));
  // What else there is to come stands before it.
  ASSERT_TRUE(wanted->SendMetrics(21, id, 640, 10));
  first->ExpectUntil(21, "wanted");
  second->ExpectUntil(21, "wanted");
  EXPECT_TRUE(Becomes(2, kTaken, 21));
  EXPECT_TRUE(Becomes(0, kPassedOn, 21));
  EXPECT_EQ(Value(1, kPassedOn), 0);
  EXPECT_EQ(Value(2, "faultline_metric_batches_ignored_total"), 0);
  EXPECT_EQ(Value(0, kStreams), 1);
  // The third node has asked for nothing.
  EXPECT_EQ(Value(1, kTaken), 0);
  EXPECT_EQ(Value(2, kStreams), 0);

  first.reset();
  ASSERT_TRUE(Becomes(2, "faultline_metric_subscribers", 1));
  ASSERT_TRUE(wanted->SendMetrics(22, id, 640, 10));
  second->ExpectUntil(22, "wanted");
  second.reset();
  ASSERT_TRUE(Becomes(2, "faultline_metric_agents_followed", 0));
  ASSERT_TRUE(Becomes(0, kStreams, 0));
  ASSERT_TRUE(Becomes(1, kStreams, 0));
  for (uint64_t sequence = 23; sequence <= 30; ++sequence) {
    ASSERT_TRUE(wanted->SendMetrics(sequence, id, 640, 10));
  }
  ASSERT_TRUE(Becomes(0, kMeasured, 50));
  EXPECT_EQ(Value(0, kPassedOn), 22);
  EXPECT_EQ(Value(2, kTaken), 22);
}

TEST_F(Relays, FollowAnAgentToWhicheverNodeItIsOn) {
  auto agent = AgentOn(0, "host");
  ASSERT_TRUE(Eventually([&] {
    const auto agents = cluster->Agents(2);
    return agents.ok() && agents->agents_size() == 1;
  }));
  const auto started = cluster->StartExperiment(2, LatencyOn("agent:host"));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->experiment_id();
  Reader reader(*cluster, 2, id);
  ASSERT_TRUE(Becomes(2, "faultline_metric_agents_followed", 1));
  ASSERT_TRUE(Becomes(0, kStreams, 1));
  ASSERT_TRUE(Eventually([&] { return agent->SendMetrics(1, id, 640, 10); }));
  reader.ExpectUntil(1, "host");
  agent.reset();
  agent = AgentOn(1, "host");
  ASSERT_TRUE(Eventually([&] { return agent->connected(); }));
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    ASSERT_TRUE(agent->SendMetrics(sequence, id, 640, 10));
  }
  reader.ExpectUntil(5, "host");
  EXPECT_TRUE(Becomes(2, kTaken, 5));
  EXPECT_EQ(Value(2, "faultline_metric_batches_missed_total"), 0);
}

}  // namespace
}  // namespace faultline::cluster
