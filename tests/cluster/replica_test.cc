// A node that was added and not promoted: a read replica, for clients and agents far from the
// voters.
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <thread>

#include "chaos/v1/chaos.grpc.pb.h"
#include "rpc/credentials.h"
#include "tests/cluster/add_member.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

using chaos::v1::TARGET_PHASE_ACTIVE;
using chaos::v1::TARGET_PHASE_REVERTED;

constexpr uint64_t kReplica = 4;
constexpr char kSelector[] = "service:checkout";

class ReadReplica : public testing::Test {
 protected:
  void SetUp() override {
    StartReplica();
    const Status added = AddMember(cluster_, kReplica, peer_);
    ASSERT_TRUE(added.ok()) << added;
    const auto credentials = rpc::ChannelCredentials({}, api_);
    stub_ = chaos::v1::ChaosController::NewStub(grpc::CreateChannel(api_, *credentials));
    // It answers once it has the log, and its agent is known to the voters.
    agent_ = std::make_unique<TestAgent>(TestAgent::Options{.controllers = {api_}});
    ASSERT_TRUE(AgentIsConnected()) << replica_->log();
  }

  void StartReplica() {
    replica_ = std::make_unique<Process>(
        std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-controller", "--id", "4",
                                 "--data-dir", directory_.path() + "/data", "--api-listen", api_,
                                 "--peer-listen", peer_, "--join",
                                 cluster_.peer_address(0) + "," + cluster_.peer_address(1)},
        directory_.path() + "/log");
  }

  bool AgentIsConnected() {
    return Eventually([&] {
      const auto agents = cluster_.Agents(0);
      return agents.ok() && agents->agents_size() == 1 && agents->agents(0).connected() &&
             agents->agents(0).node_id() == kReplica;
    });
  }

  // Calls to the replica.
  static void Prepare(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() + kPatience);
    context->set_wait_for_ready(true);
  }
  chaos::v1::ListExperimentsResponse List(bool stale) {
    grpc::ClientContext context;
    Prepare(&context);
    chaos::v1::ListExperimentsRequest request;
    request.set_stale(stale);
    chaos::v1::ListExperimentsResponse response;
    const auto status = stub_->ListExperiments(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // The new experiment's id; empty when none could be started. The agent may be on its way back.
  std::string Start() {
    const auto request = LatencyOn(kSelector, fmt::format("start-{}", ++starts_));
    chaos::v1::StartExperimentResponse response;
    Eventually([&] {
      grpc::ClientContext context;
      Prepare(&context);
      return stub_->StartExperiment(&context, request, &response).ok();
    });
    return response.experiment_id();
  }

  // With "role candidate" it stood for election, with the other it won.
  bool EverStood() const {
    const std::string log = replica_->log();
    return log.find("role candidate") != std::string::npos ||
           log.find("is now leader") != std::string::npos;
  }

  Cluster cluster_{{.nodes = 3}};
  const TempDir directory_;
  const std::string api_ = fmt::format("127.0.0.1:{}", FreePort());
  const std::string peer_ = fmt::format("127.0.0.1:{}", FreePort());
  std::unique_ptr<Process> replica_;
  std::unique_ptr<chaos::v1::ChaosController::Stub> stub_;
  std::unique_ptr<TestAgent> agent_;
  uint64_t sequence_ = 0;
  int starts_ = 0;
};

TEST_F(ReadReplica, AnswersEveryReadWatchAndMetricStreamAndHoldsAgents) {
  grpc::ClientContext watch_context;
  Prepare(&watch_context);
  const auto watch = stub_->WatchExperiments(&watch_context, {});
  chaos::v1::WatchExperimentsResponse change;
  ASSERT_TRUE(watch->Read(&change)) << "the present state";

  // Started at a voter, armed by the replica's agent, and seen at once by a linearizable read.
  const auto started = cluster_.StartExperiment(1, LatencyOn(kSelector));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->experiment_id();
  const auto fresh = List(/*stale=*/false);
  ASSERT_EQ(fresh.experiments_size(), 1);
  EXPECT_EQ(fresh.experiments(0).experiment_id(), id);
  EXPECT_FALSE(fresh.freshness().stale());
  EXPECT_TRUE(cluster_.WaitForPhase(2, id, TARGET_PHASE_ACTIVE));
  bool active = false;
  while (!active && watch->Read(&change)) {
    for (const auto& experiment : change.experiments()) {
      active |=
          experiment.experiment_id() == id && experiment.targets(0).phase() == TARGET_PHASE_ACTIVE;
    }
  }
  EXPECT_TRUE(active) << "the watch has ended";
  watch_context.TryCancel();

  ASSERT_TRUE(Eventually([&] { return List(/*stale=*/true).freshness().has_age(); }));
  const auto stale = List(/*stale=*/true);
  EXPECT_TRUE(stale.freshness().stale());
  EXPECT_EQ(stale.freshness().node_id(), kReplica);

  // From its agent to a voter's subscriber, and to its own.
  const auto voter = cluster_.Stub(0);
  for (auto* stub : {voter.get(), stub_.get()}) {
    chaos::v1::SubscribeToMetricsRequest request;
    request.set_experiment_id(id);
    grpc::ClientContext context;
    Prepare(&context);
    const auto stream = stub->SubscribeToMetrics(&context, request);
    // A subscription begins when its node has heard of it, not when it was asked for.
    const std::jthread measuring([&](const std::stop_token& over) {
      while (!over.stop_requested()) {
        agent_->SendMetrics(++sequence_, id, 640, 10);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    });
    chaos::v1::MetricUpdate update;
    ASSERT_TRUE(stream->Read(&update));
    EXPECT_EQ(update.target_id(), agent_->target_id());
    context.TryCancel();
  }

  const auto stopped = cluster_.Stop(0, id, 20);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->targets(0).phase(), TARGET_PHASE_REVERTED);
  EXPECT_FALSE(EverStood());
}

TEST_F(ReadReplica, IsNeverElectedWhateverDiesAndKeepsItsAgentsLeases) {
  for (int round = 0; round < 2; ++round) {
    const int leader = cluster_.WaitForLeader();
    cluster_.process(leader).Kill();
    EXPECT_NE(cluster_.WaitForLeader(leader), leader);
    // Through the new leader, as before.
    const size_t grants = agent_->grants();
    EXPECT_TRUE(Eventually([&] { return agent_->grants() > grants; }));
    const std::string id = Start();
    ASSERT_NE(id, "");
    cluster_.Start(leader);
    const auto stopped = cluster_.Stop(cluster_.WaitForLeader(), id, 20);
    EXPECT_TRUE(stopped.ok()) << stopped.status();
  }
  // The last voter and the replica are no majority: nobody leads, and stale reads go on.
  const int left = cluster_.Follower();
  for (int node = 0; node < 3; ++node) {
    if (node != left) cluster_.process(node).Kill();
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));  // many election timeouts
  EXPECT_EQ(List(/*stale=*/true).experiments_size(), 2) << "all that it was told before";
  EXPECT_FALSE(EverStood()) << replica_->log();
  for (int node = 0; node < 3; ++node) {
    if (node != left) cluster_.Start(node);
  }
  EXPECT_NE(Start(), "");
  EXPECT_FALSE(EverStood());
}

TEST_F(ReadReplica, ComesBackAsOneAndCatchesUp) {
  replica_->Kill();
  for (int i = 0; i < 20; ++i) {
    const auto started = cluster_.StartExperiment(0, LatencyOn(kSelector));
    if (started.ok()) cluster_.Stop(0, started->experiment_id(), 0).status().IgnoreError();
  }
  const auto listed = cluster_.List(1);
  ASSERT_TRUE(listed.ok());
  StartReplica();
  EXPECT_EQ(List(/*stale=*/false).experiments_size(), listed->experiments_size());
  ASSERT_TRUE(AgentIsConnected());
  EXPECT_FALSE(EverStood());
}

}  // namespace
}  // namespace faultline::cluster
