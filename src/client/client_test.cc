// The client against real gRPC servers on loopback, inside this process.
#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "client/test_node.h"
#include "rpc/status.h"

namespace faultline::client {
namespace {

using testing::ElementsAre;

std::unique_ptr<Client> ClientOf(const std::string& addresses, int timeout_ms = 10'000) {
  Options options;
  options.addresses = addresses;
  options.timeout = std::chrono::milliseconds(timeout_ms);
  auto client = Client::Create(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return std::move(client).value();
}

grpc::Status NoLeader() {
  return rpc::ToGrpc(MakeDetailedError(StatusCode::kUnavailable, "NO_LEADER", "no leader now"));
}

TEST(Client, GoesOnToTheNextNodeAndStaysThere) {
  FakeNode dead, alive;
  const auto client = ClientOf(dead.address() + "," + alive.address());
  dead.Kill();
  EXPECT_TRUE(client->ListExperiments({}).ok());
  EXPECT_TRUE(client->ListExperiments({}).ok());
  EXPECT_EQ(alive.lists, 2);
}

TEST(Client, ARepeatedStartCarriesTheSameRequestId) {
  FakeNode one, two;
  one.start_status = NoLeader();
  const auto client = ClientOf(one.address() + "," + two.address());
  const auto started = client->StartExperiment({});
  ASSERT_TRUE(started.ok()) << started.status();
  ASSERT_EQ(one.request_ids.size(), 1u);
  EXPECT_FALSE(one.request_ids[0].empty());
  EXPECT_EQ(one.request_ids, two.request_ids);
}

TEST(Client, ACallersRequestIdIsKept) {
  FakeNode node;
  chaos::v1::StartExperimentRequest request;
  request.set_request_id("mine");
  ASSERT_TRUE(ClientOf(node.address())->StartExperiment(request).ok());
  EXPECT_THAT(node.request_ids, ElementsAre("mine"));
}

TEST(Client, ARefusalIsFinalAndKeepsItsDetail) {
  FakeNode one, two;
  one.list_status = rpc::ToGrpc(FieldError("target", "x", "a selector"));
  const auto listed = ClientOf(one.address() + "," + two.address())->ListExperiments({});
  EXPECT_EQ(listed.status().code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(DetailOf(listed.status()).has_value());
  EXPECT_EQ(DetailOf(listed.status())->violations(0).field(), "target");
  EXPECT_EQ(two.lists, 0);
}

TEST(Client, SaysWhichAddressesDoNotAnswer) {
  std::string address;
  {
    FakeNode gone;
    address = gone.address();
  }
  const auto listed = ClientOf(address)->ListExperiments({});
  EXPECT_EQ(listed.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(DetailOf(listed.status())->reason(), "UNREACHABLE");
  EXPECT_EQ(ToString(listed.status().message()), "no controller answers at " + address);
}

TEST(Client, OverTlsItSaysWhyNobodyCanBeReached) {
  char folder[] = "/tmp/faultline-client-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string own = fmt::format(
      "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
      "-subj /CN=own -keyout own.key -out own.pem 2>/dev/null",
      folder);
  ASSERT_EQ(std::system(own.c_str()), 0);
  FakeNode plain;
  Options options;
  options.addresses = plain.address();
  options.ca_file = options.cert_file = fmt::format("{}/own.pem", folder);
  options.key_file = fmt::format("{}/own.key", folder);
  const auto client = Client::Create(options);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(std::system(fmt::format("rm -r {}", folder).c_str()), 0);
  const Status listed = (*client)->ListExperiments({}).status();
  ASSERT_TRUE(DetailOf(listed).has_value()) << listed;
  EXPECT_EQ(DetailOf(listed)->reason(), "UNREACHABLE");
  const std::string said = "no controller answers at " + plain.address() + " over TLS: ";
  EXPECT_THAT(ToString(listed.message()), testing::StartsWith(said));
  EXPECT_GT(listed.message().size(), said.size()) << "gRPC's own words";
}

TEST(Client, ANodeThatComesUpWhileACallTriesIsFound) {
  std::string address;
  {
    FakeNode gone;
    address = gone.address();
  }
  const auto client = ClientOf(address);
  std::unique_ptr<FakeNode> back;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    back = std::make_unique<FakeNode>(address);
  });
  const auto listed = client->ListExperiments({});
  later.join();
  EXPECT_TRUE(listed.ok()) << listed.status();
}

TEST(Client, KeepsTheNodesOwnErrorWhenTheTimeoutEndsTheWaitForALeader) {
  FakeNode node;
  node.list_status = NoLeader();
  const auto listed = ClientOf(node.address(), 200)->ListExperiments({});
  EXPECT_EQ(DetailOf(listed.status())->reason(), "NO_LEADER");
  EXPECT_GT(node.lists, 1);
}

TEST(Client, ANodesOwnErrorSaysMoreThanTheConnectionThatBreaksAfterIt) {
  FakeNode node;
  node.list_status = NoLeader();
  const auto client = ClientOf(node.address(), 1'000);
  std::thread killer([&] {
    while (node.lists == 0) std::this_thread::yield();
    node.Kill();
  });
  const auto listed = client->ListExperiments({});
  killer.join();
  EXPECT_EQ(DetailOf(listed.status())->reason(), "NO_LEADER");
}

TEST(Client, AnAddressBeyondLoopbackNeedsTls) {
  Options options;
  options.addresses = "192.0.2.1:7400";
  EXPECT_EQ(Client::Create(options).status().code(), StatusCode::kInvalidArgument);
}

TEST(MetricStream, GoesOnAtAnotherNodeWithoutHoleOrRepeat) {
  FakeNode one, two;
  one.last_sequence = 3;
  two.last_sequence = 5;
  const auto client = ClientOf(one.address() + "," + two.address());
  int interruptions = 0;
  const auto stream = client->SubscribeToMetrics(
      {}, {.cancellation = nullptr, .on_interrupted = [&](const Status&, const std::string& next) {
             ++interruptions;
             EXPECT_EQ(next, two.address());
           }});
  std::vector<uint64_t> sequences;
  for (int i = 0; i < 5; ++i) {
    if (i == 3) one.Kill();
    const auto update = stream->Next();
    ASSERT_TRUE(update.ok()) << update.status();
    sequences.push_back(update->position().sequence());
  }
  EXPECT_THAT(sequences, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(interruptions, 1);
}

TEST(MetricStream, CancellingEndsAWaitingNext) {
  FakeNode node;
  const auto client = ClientOf(node.address());
  const auto token = std::make_shared<Cancellation>();
  const auto stream =
      client->SubscribeToMetrics({}, {.cancellation = token, .on_interrupted = nullptr});
  std::thread other([&] { token->Cancel(); });
  EXPECT_EQ(stream->Next().status().code(), StatusCode::kCancelled);
  other.join();
}

TEST(MetricStream, ThatHasNothingToSayOutlivesOneNodeAfterTheOther) {
  std::vector<std::unique_ptr<FakeNode>> nodes;
  std::string addresses;
  for (int i = 0; i < 3; ++i) {
    nodes.push_back(std::make_unique<FakeNode>());
    addresses += (i > 0 ? "," : "") + nodes[i]->address();
  }
  nodes[2]->last_sequence = 1;
  const auto client = ClientOf(addresses, /*timeout_ms=*/1'000);
  std::thread killer([&] {
    for (int i = 0; i < 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(3'300));
      nodes[i]->Kill();
    }
  });
  const auto stream = client->SubscribeToMetrics({});
  const auto update = stream->Next();
  killer.join();
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_EQ(update->position().sequence(), 1u);
}

TEST(MetricStream, AnExperimentsEndIsToldOnceThoughTheNextNodeTellsItAgain) {
  FakeNode one, two;
  for (FakeNode* node : {&one, &two}) {
    node->last_sequence = 1;
    node->end = EndOf("exp-1");
  }
  two.ends_stream = true;
  const auto client = ClientOf(one.address() + "," + two.address());
  const auto stream = client->SubscribeToMetrics({});
  EXPECT_TRUE(stream->Next().ok());
  const auto end = stream->Next();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->end().phase(), "stopped");
  one.Kill();
  EXPECT_EQ(stream->Next().status().code(), StatusCode::kOutOfRange);
}

TEST(MetricStream, TheServersOrderlyEndIsTheEnd) {
  FakeNode node;
  node.last_sequence = 1;
  node.ends_stream = true;
  const auto client = ClientOf(node.address());
  const auto stream = client->SubscribeToMetrics({});
  EXPECT_TRUE(stream->Next().ok());
  EXPECT_EQ(stream->Next().status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(stream->Next().status().code(), StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace faultline::client
