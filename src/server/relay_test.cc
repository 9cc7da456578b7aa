// What one node has of another's batches, over a real connection: whose, when, and what counts as
// missed.
#include "server/relay.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <tuple>

#include "server/metrics_testing.h"
#include "server/plane_testing.h"
#include "server/services.h"
#include "server/serving_testing.h"
#include "server/v1/peer.grpc.pb.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

using metrics_testing::Batch;
using metrics_testing::Drain;
using metrics_testing::Of;
using Ids = std::set<std::string>;
// First and last sequence of what was told, and the batches among them that were missed.
using Span = std::tuple<uint64_t, uint64_t, uint64_t>;

// Subscribers come to the node `here`; the agents are on the node `there`.
class Relaying : public PlaneTest {
 protected:
  void SetUp() override {
    Serve();
    auto made = Peers::Make({{.id = kThere, .address = address}}, {}, &plane);
    ASSERT_TRUE(made.ok()) << made.status();
    peers = *std::move(made);
    relays = std::make_unique<RelayManager>(kHere, std::vector{kThere}, &strand, peers.get(),
                                            &plane, &here);
    here.ObserveDemand([this] { relays->OnDemand(); });
    for (const char* id : {"a", "b"}) Register(id);
  }
  void TearDown() override {
    relays->Shutdown();
    peers->Shutdown();
    ShutDown(server);
    strand.Stop();
  }

  void Serve() {
    Parts parts;
    parts.metrics = &there;
    service = MakePeerService(parts);
    ServeAt(&address, {service.get()}, &server);
  }
  // An experiment on the agent's target; its id.
  std::string Start(const std::string& agent) { return StartOn("service:" + agent); }

  // The agent measures, for that experiment, while it is connected to the other node.
  void Measure(const std::string& agent, uint64_t from, uint64_t to,
               const std::string& experiment = "exp-1") {
    for (uint64_t sequence = from; sequence <= to; ++sequence) {
      auto batch = Batch(sequence, 640, 10, experiment);
      batch.mutable_position()->set_agent_id(agent);
      batch.mutable_samples(0)->set_target_id(agent + "/x");
      there.Ingest(batch, /*relayed=*/false);
    }
  }
  uint64_t came() const { return here.meters().from_nodes.value(); }
  void ExpectCame(uint64_t batches) {
    EXPECT_TRUE(Eventually([&] { return came() >= batches; }));
    EXPECT_EQ(came(), batches);
  }
  void ExpectFollowed(const Ids& ids) {
    EXPECT_TRUE(Eventually([&] { return here.followed() == AgentSet{.ids = ids}; }));
    strand.Run([] {});  // and that has been acted on
  }
  static Span Told(MetricsHub::Subscription& subscription) {
    uint64_t first = 0, last = 0, missed = 0;
    for (const auto& update : Drain(subscription)) {
      const uint64_t sequence = update.position().sequence();
      if (first == 0) first = sequence - update.merged_batches() - update.missed_batches();
      last = sequence;
      missed += update.missed_batches();
    }
    return {first, last, missed};
  }

  static constexpr uint64_t kHere = 1, kThere = 2;
  Strand strand{"relays"};
  MetricsHub here, there;
  std::unique_ptr<grpc::Service> service;
  std::unique_ptr<grpc::Server> server;
  std::string address = "127.0.0.1:0";
  std::unique_ptr<Peers> peers;
  std::unique_ptr<RelayManager> relays;
};

TEST_F(Relaying, CarriesTheWantedExperimentsAgentsOnceHoweverManySubscribe) {
  const std::string id = Start("a");
  const auto first = here.Subscribe(Of(id), [] {});
  const auto second = here.Subscribe(Of(id), [] {});
  Measure("b", 1, 20, id);
  Measure("a", 1, 20, id);
  ExpectCame(20);
  EXPECT_EQ(there.meters().to_nodes.value(), 20u);
  for (const auto* subscription : {&first, &second}) {
    EXPECT_EQ(Told(**subscription), Span(1, 20, 0));
  }
  EXPECT_EQ(here.meters().ignored.value(), 0u);
}

TEST_F(Relaying, BeginsWithWhatIsKeptAndLeavesTheOthersAlone) {
  const std::string of_a = Start("a"), of_b = Start("b");
  Measure("a", 1, 10, of_a);
  Measure("b", 1, 10, of_b);
  const auto first = here.Subscribe(Of(of_a), [] {});
  ExpectCame(10);
  const auto second = here.Subscribe(Of(of_b), [] {});
  ExpectCame(20);
  EXPECT_EQ(Told(*second), Span(1, 10, 0));
  Measure("a", 11, 15, of_a);
  Measure("b", 11, 15, of_b);
  ExpectCame(30);
  EXPECT_EQ(here.meters().ignored.value(), 0u);
  EXPECT_EQ(Told(*first), Span(1, 15, 0));
}

TEST_F(Relaying, EndsForEachAgentWithTheLastWhoWantsIt) {
  const std::string of_a = Start("a"), of_b = Start("b");
  auto first = here.Subscribe(Of(of_a), [] {});
  auto second = here.Subscribe(Of(of_b), [] {});
  Measure("a", 1, 5, of_a);
  Measure("b", 1, 5, of_b);
  ExpectCame(10);
  first.reset();
  ExpectFollowed({"b"});
  // Until the other node has been told.
  uint64_t sequence = 5, had = 0;
  EXPECT_TRUE(Eventually([&] {
    had = came();
    ++sequence;
    Measure("a", sequence, sequence, of_a);
    Measure("b", sequence, sequence, of_b);
    return Eventually([&] { return std::get<1>(Told(*second)) == sequence; }) && came() == had + 1;
  }));
  const auto end = std::make_shared<chaos::v1::MetricUpdate>();
  end->set_experiment_id(of_b);
  second->End(end);
  ExpectFollowed({});
  had = came();
  Measure("b", sequence + 1, sequence + 200, of_b);
  EXPECT_EQ(came(), had);
}

TEST_F(Relaying, WhatNobodyWantedMeanwhileIsMissedByNobody) {
  const std::string id = Start("a");
  auto before = here.Subscribe(Of(id), [] {});
  Measure("a", 1, 5, id);
  ExpectCame(5);
  before.reset();
  ExpectFollowed({});
  Measure("a", 6, 205, id);
  const auto after = here.Subscribe(Of(id), [] {});
  // The last five seconds.
  ExpectCame(5 + 50);
  const auto updates = Drain(*after);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].position().sequence(), 205u);
  EXPECT_EQ(updates[0].merged_batches(), 49u);
  EXPECT_EQ(updates[0].missed_batches(), 0u);
  EXPECT_EQ(here.meters().missed.value(), 0u);
  Measure("a", 209, 209, id);
  ExpectCame(5 + 51);
  EXPECT_EQ(Told(*after), Span(206, 209, 3));
  EXPECT_EQ(here.meters().missed.value(), 3u);
}

TEST_F(Relaying, WhoComesBackIsToldWhatIsMissing) {
  const std::string id = Start("a");
  auto before = here.Subscribe(Of(id), [] {});
  Measure("a", 1, 10, id);
  ExpectCame(10);
  before.reset();
  ExpectFollowed({});
  Measure("a", 11, 210, id);
  auto filter = Of(id);
  filter.resume[{"a", 1}] = 7;
  const auto back = here.Subscribe(filter, [] {});
  ExpectCame(10 + 50);
  EXPECT_EQ(Told(*back), Span(8, 210, 150));
  EXPECT_EQ(here.meters().missed.value(), 0u);
}

TEST_F(Relaying, WhoComesFromAnotherNodeGetsWhatIsKept) {
  const std::string id = Start("a");
  Measure("a", 1, 40, id);
  auto filter = Of(id);
  filter.resume[{"a", 1}] = 30;
  const auto resumed = here.Subscribe(filter, [] {});
  ExpectCame(40);
  EXPECT_EQ(Told(*resumed), Span(31, 40, 0));
}

TEST_F(Relaying, CarriesABatchAsLargeAsAnAgentMaySend) {
  const std::string id = Start("a");
  const auto subscription = here.Subscribe(Of(id), [] {});
  auto batch = Batch(1, 640, 10, id);
  batch.mutable_samples(0)->set_not_measurable_reason(std::string(kMaxMessageBytes - 1'024, 'x'));
  there.Ingest(batch, /*relayed=*/false);
  ExpectCame(1);
}

TEST_F(Relaying, FollowsAgentsWhoseTargetsComeToBeObserved) {
  MetricsHub::Filter filter;
  filter.target = "any:yes";
  filter.observes = [](const std::string&) { return true; };
  const auto subscription = here.Subscribe(filter, [] {});
  ExpectFollowed({"a", "b"});
  Measure("c", 1, 10);
  Register("c");
  ExpectFollowed({"a", "b", "c"});
  ExpectCame(10);
}

TEST_F(Relaying, GoesOnWhenTheOtherNodeIsStartedAgain) {
  const std::string id = Start("a");
  const auto subscription = here.Subscribe(Of(id), [] {});
  Measure("a", 1, 5, id);
  ExpectCame(5);
  ShutDown(server);
  Serve();
  Measure("a", 6, 10, id);
  EXPECT_TRUE(Eventually([&] { return came() == 10; }));
  EXPECT_EQ(Told(*subscription), Span(1, 10, 0));
}

// As a node asks that does not know agent_ids.
TEST_F(Relaying, GivesAllToANodeThatNamesNoAgentsAndAsksOnce) {
  Measure("b", 1, 1);
  const auto stub =
      v1::PeerService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto stream = stub->RelayMetrics(&context);
  v1::RelayMetricsRequest request;
  request.set_node_id(kHere);
  ASSERT_TRUE(stream->Write(request) && stream->WritesDone());
  v1::RelayMetricsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.batch().position().agent_id(), "b");
  Measure("a", 1, 1);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.batch().position().agent_id(), "a");
  context.TryCancel();
}

}  // namespace
}  // namespace faultline::server
