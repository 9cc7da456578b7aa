// The client against real gRPC servers on loopback, inside this process.
#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "client/test_node.h"
#include "rpc/credentials.h"
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

// Two certificates for 127.0.0.1, each its own authority.
class ClientTls : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_), nullptr);
    for (const char* name : {"own", "other"}) {
      const std::string make = fmt::format(
          "cd {0} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
          "-subj /CN={1} -addext subjectAltName=IP:127.0.0.1 -keyout {1}.key -out {1}.pem "
          "2>/dev/null",
          folder_, name);
      ASSERT_EQ(std::system(make.c_str()), 0);
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  rpc::TlsFiles Files(const std::string& name) const {
    const std::string path = fmt::format("{}/{}", folder_, name);
    return {path + ".pem", path + ".pem", path + ".key"};
  }
  // How a call fails that finds nobody to speak with.
  static Status Unreachable(const std::string& address, const rpc::TlsFiles& tls) {
    Options options;
    options.addresses = address;
    options.ca_file = tls.ca_file;
    options.cert_file = tls.cert_file;
    options.key_file = tls.key_file;
    const auto client = Client::Create(options);
    EXPECT_TRUE(client.ok()) << client.status();
    const Status listed = (*client)->ListExperiments({}).status();
    EXPECT_EQ(ReasonOf(listed), "UNREACHABLE") << listed;
    return listed;
  }
  // On a machine so slow that attempts end without a word, once more.
  static std::string ProblemOf(const std::string& address, const rpc::TlsFiles& tls) {
    for (int turn = 0; turn < 5; ++turn) {
      const auto metadata = DetailOf(Unreachable(address, tls))->metadata();
      if (metadata.contains("tls")) return metadata.at("tls");
    }
    return "";
  }

  char folder_[30] = "/tmp/faultline-client-XXXXXX";
};

TEST_F(ClientTls, SaysWhyNobodyCanBeReached) {
  FakeNode plain;
  const Status listed = Unreachable(plain.address(), Files("own"));
  const std::string said = "no controller answers at " + plain.address() + " over TLS: ";
  EXPECT_THAT(ToString(listed.message()), testing::StartsWith(said));
  EXPECT_GT(listed.message().size(), said.size()) << "gRPC's own words";
}

TEST_F(ClientTls, TellsWhatIsWrongWithItWhereThatShows) {
  const auto credentials = rpc::ListenerCredentials(Files("own"), "127.0.0.1:0");
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  FakeNode node("127.0.0.1:0", *credentials), plain;
  EXPECT_EQ(ProblemOf(node.address(), {}), "MISSING_HERE");
  EXPECT_EQ(ProblemOf(plain.address(), Files("own")), "MISSING_THERE");
  EXPECT_EQ(ProblemOf(node.address(), Files("other")), "CERTIFICATE");
  // It trusts the node, and not the other way round.
  rpc::TlsFiles mixed = Files("other");
  mixed.ca_file = fmt::format("{}/both.pem", folder_);
  ASSERT_EQ(
      std::system(fmt::format("cat {0}/own.pem {0}/other.pem > {0}/both.pem", folder_).c_str()), 0);
  EXPECT_EQ(ProblemOf(node.address(), mixed), "CERTIFICATE");
  node.Kill();
  EXPECT_FALSE(DetailOf(Unreachable(node.address(), Files("own")))->metadata().contains("tls"));
}

TEST(Client, ANodeThatComesUpWhileACallTriesIsFound) {
  Status listed = absl::UnknownError("");
  // On a machine so slow that the call gives up before, once more.
  for (int turn = 0; turn < 5 && !listed.ok(); ++turn) {
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
    listed = client->ListExperiments({}).status();
    later.join();
  }
  EXPECT_TRUE(listed.ok()) << listed;
}

TEST(Client, KeepsTheNodesOwnErrorWhenTheTimeoutEndsTheWaitForALeader) {
  FakeNode node;
  node.list_status = NoLeader();
  Status listed;
  // As long as this machine takes to ask twice.
  for (int timeout_ms = 200; node.lists < 2 && timeout_ms <= 20'000; timeout_ms *= 10) {
    node.lists = 0;
    listed = ClientOf(node.address(), timeout_ms)->ListExperiments({}).status();
  }
  EXPECT_EQ(ReasonOf(listed), "NO_LEADER") << listed;
  EXPECT_GT(node.lists, 1);
}

TEST(Client, ANodesOwnErrorSaysMoreThanTheConnectionThatBreaksAfterIt) {
  FakeNode node;
  node.list_status = NoLeader();
  const auto client = ClientOf(node.address(), 3'000);
  std::atomic<bool> ended = false;
  std::thread killer([&] {
    // Who asks again has been answered.
    while (node.lists < 2 && !ended) std::this_thread::yield();
    node.Kill();
  });
  const Status listed = client->ListExperiments({}).status();
  ended = true;
  killer.join();
  EXPECT_EQ(ReasonOf(listed), "NO_LEADER") << listed;
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
  const auto client = ClientOf(addresses, /*timeout_ms=*/3'000);
  std::atomic<bool> ended = false;
  std::thread killer([&] {
    for (int i = 0; i < 2; ++i) {
      // Counted from when it has the stream: the node is known to live then.
      while (nodes[i]->streams == 0 && !ended) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(3'300));
      nodes[i]->Kill();
    }
  });
  const auto stream = client->SubscribeToMetrics({});
  const auto update = stream->Next();
  ended = true;
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
