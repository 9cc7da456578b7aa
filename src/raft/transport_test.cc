// What a member refuses on its peers' streams, seen from both ends: over gRPC on loopback.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "raft/crc32c.h"
#include "raft/grpc_peer.h"
#include "raft/grpc_transport.h"
#include "raft/open_streams.h"
#include "raft/types.h"
#include "raft/v1/raft.grpc.pb.h"
#include "rpc/name_server_testing.h"
#include "rpc/status.h"
#include "tests/eventually.h"

namespace faultline::raft {
namespace {

using ::raft::v1::ExchangeRequest;
using ::raft::v1::ExchangeResponse;
using ::raft::v1::RaftService;
using testing::HasSubstr;

pb::PeerMessage Query(uint64_t to) {
  pb::PeerMessage message;
  message.set_to_id(to);
  message.set_term(3);
  message.mutable_leadership_query()->set_sent_ns(1);
  return message;
}

ExchangeRequest RequestWith(const std::vector<std::string>& messages) {
  ExchangeRequest request;
  request.set_from_id(2);
  for (const std::string& message : messages) {
    request.add_messages(message);
    request.add_crc32c(Crc32c(message));
  }
  return request;
}

// Node 1's end, and a stub to it.
class TransportTest : public testing::Test {
 protected:
  void SetUp() override {
    transport_.SetHandshake([] { return Hello{1, "c", 7}; },
                            [this](const Hello& hello) { return admit_(hello); });
    transport_.SetReceiver([this](uint64_t, const std::string&) { ++received_; });
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    transport_.Register(builder);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override {
    transport_.SetReceiver(nullptr);
    server_->Shutdown(std::chrono::system_clock::now());
  }

  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  // What the sender of these as a stream's first parts is told; OK: they were taken.
  Status Send(const ExchangeRequest& request) { return SendAll({request}); }
  Status SendAll(const std::vector<ExchangeRequest>& requests) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxSendMessageSize(-1);
    const auto stub = RaftService::NewStub(
        grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    ExchangeResponse response;
    const auto stream = stub->Exchange(&context, &response);
    for (const ExchangeRequest& request : requests) stream->Write(request);
    stream->WritesDone();
    return rpc::FromGrpc(stream->Finish());
  }

  void ExpectRefused(const ExchangeRequest& request, StatusCode code, const std::string& reason,
                     const std::string& sentence) {
    const uint64_t before = transport_.refused()[reason];
    const int received = received_;
    const Status status = Send(request);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.ToString(), HasSubstr(sentence));
    EXPECT_EQ(transport_.refused()[reason], before + 1);
    EXPECT_EQ(received_, received) << "nothing of it was taken";
  }

  // Used until the server has ended: who is refused comes again.
  std::mutex mutex_;
  Hello told_;
  std::function<Status(const Hello&)> admit_ = [](const Hello&) { return absl::OkStatus(); };
  std::atomic<int> received_ = 0;
  GrpcTransport transport_{1, grpc::InsecureChannelCredentials()};
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

TEST_F(TransportTest, TakesWholeMessagesForThisNode) {
  ExchangeRequest request =
      RequestWith({Query(1).SerializeAsString(), Query(1).SerializeAsString()});
  EXPECT_TRUE(Send(request).ok());
  EXPECT_EQ(received_, 2);
  request.clear_crc32c();
  EXPECT_TRUE(Send(request).ok()) << "a version that has no checksums";
  EXPECT_EQ(received_, 4);
  EXPECT_TRUE(transport_.refused().empty());
}

TEST_F(TransportTest, RefusesWrongChecksums) {
  const std::string good = Query(1).SerializeAsString();
  ExchangeRequest request = RequestWith({good, good});
  std::string* changed = request.mutable_messages(1);
  changed->back() = static_cast<char>(changed->back() ^ 1);
  ExpectRefused(request, StatusCode::kDataLoss, "BAD_CHECKSUM",
                "a message of node 2 does not match its checksum");
  ExchangeRequest fewer = RequestWith({good, good});
  fewer.mutable_crc32c()->RemoveLast();
  ExpectRefused(fewer, StatusCode::kDataLoss, "BAD_CHECKSUM", "2 messages came with 1 checksums");
}

TEST_F(TransportTest, RefusesWhatIsNoMessageOrNotForThisNode) {
  ExpectRefused(RequestWith({"\xff\xff\xff"}), StatusCode::kInvalidArgument, "MALFORMED_MESSAGE",
                "a message of node 2 cannot be read");
  pb::PeerMessage without_term = Query(1);
  without_term.clear_term();
  ExpectRefused(RequestWith({without_term.SerializeAsString()}), StatusCode::kInvalidArgument,
                "MALFORMED_MESSAGE", "is none that a member sends");
  ExpectRefused(RequestWith({Query(3).SerializeAsString()}), StatusCode::kFailedPrecondition,
                "FOR_ANOTHER_NODE",
                "what node 2 sends to node 3 arrives at node 1: its address is wrong");
}

TEST_F(TransportTest, RefusesAnotherSenderOnAStreamThatWasAdmitted) {
  const ExchangeRequest first = RequestWith({Query(1).SerializeAsString()});
  EXPECT_TRUE(SendAll({first, first}).ok());
  EXPECT_EQ(received_, 2);
  ExchangeRequest other = first;
  other.set_from_id(3);
  const Status status = SendAll({first, other});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("a message of node 2 says that it is of node 3"));
  EXPECT_EQ(transport_.refused()["MALFORMED_MESSAGE"], 1u);
  EXPECT_EQ(received_, 3);
}

TEST_F(TransportTest, KeepsNothingForThoseThatAreNoMembersAnyMore) {
  GrpcTransport other(2, grpc::InsecureChannelCredentials());
  for (const uint64_t id : {1, 3, 4}) other.Send({id, address()}, "x");
  EXPECT_EQ(other.Health().size(), 3u);
  other.SetMembers({{1, address()}, {2, "self:1"}});
  ASSERT_EQ(other.Health().size(), 1u);
  EXPECT_EQ(other.Health()[0].id, 1u);
  other.Send({3, address()}, "x");
  EXPECT_EQ(other.Health().size(), 2u) << "it may be told that it is none";
  const uint64_t sent_ns = BoottimeNowNs();
  other.EndStrangers(sent_ns + GrpcTransport::kStrangerNs / 2);
  EXPECT_EQ(other.Health().size(), 2u) << "and told again";
  other.EndStrangers(sent_ns + GrpcTransport::kStrangerNs);
  ASSERT_EQ(other.Health().size(), 1u) << "but is not kept for ever";
  EXPECT_EQ(other.Health()[0].id, 1u);
  other.Send({3, address()}, "x");
  other.SetMembers({{1, address()}, {2, "self:1"}, {3, address()}});
  other.EndStrangers(BoottimeNowNs() + 2 * GrpcTransport::kStrangerNs);
  EXPECT_EQ(other.Health().size(), 2u) << "it has become a member";
}

TEST_F(TransportTest, RefusesMessagesOfTheWrongSize) {
  ExchangeRequest request;
  request.set_from_id(2);
  request.add_messages(std::string(kMaxWireBytes + 1, 'x'));
  ExpectRefused(request, StatusCode::kResourceExhausted, "MESSAGE_TOO_LARGE",
                fmt::format("and {} are allowed", kMaxWireBytes));
}

TEST_F(TransportTest, RefusesASecondProcessOfANodeWhileTheFirstOneSpeaks) {
  OpenStreams streams;
  Hello first{2, "c", 7}, second{2, "c", 7}, other{3, "c", 8};
  first.start_id = 10;
  second.start_id = 11;
  other.start_id = 12;
  const uint64_t now_ns = 100 * OpenStreams::kAliveNs;
  auto open = streams.Enter(first, now_ns);
  ASSERT_TRUE(open.ok());
  EXPECT_TRUE(streams.Enter(first, now_ns).ok()) << "its own next connection";
  EXPECT_TRUE(streams.Enter(other, now_ns).ok());
  (*open)->Heard(now_ns + 10);
  const auto refused = streams.Enter(second, now_ns + OpenStreams::kAliveNs);
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.status().ToString(),
              HasSubstr("another process speaks as node 2 at the same time"));
  EXPECT_EQ(streams.refused(), 1u);
  const uint64_t silent_ns = now_ns + 10 + OpenStreams::kAliveNs;
  EXPECT_TRUE(streams.Enter(second, silent_ns).ok()) << "the first may be gone without a word";
  (*open)->Heard(silent_ns);
  EXPECT_FALSE(streams.Enter(second, silent_ns).ok());
  open->reset();
  EXPECT_TRUE(streams.Enter(second, silent_ns).ok()) << "it has taken the first one's place";
}

TEST_F(TransportTest, PassesKindsOfMessagesThatALaterVersionHas) {
  pb::PeerMessage later;
  later.set_to_id(1);
  later.set_term(3);
  // Field 99, a message: this version does not know it.
  const std::string bytes = later.SerializeAsString() + std::string("\x9a\x06\x00", 3);
  EXPECT_TRUE(Send(RequestWith({bytes})).ok());
  EXPECT_EQ(received_, 1);
}

TEST_F(TransportTest, TellsHowItIsIntroducedAndTheSenderWhyItIsRefused) {
  admit_ = [this](const Hello& hello) {
    const std::lock_guard lock(mutex_);
    told_ = hello;
    return MakeDetailedError(StatusCode::kFailedPrecondition, "UNKNOWN_VERSION", "too new");
  };
  Hello hello{2, "cluster", 8};
  hello.start_id = 9;
  hello.oldest_protocol = 98;
  hello.newest_protocol = 99;
  GrpcTransport other(2, grpc::InsecureChannelCredentials());
  other.SetHandshake([hello] { return hello; }, nullptr);
  const auto refused = [&] {
    other.Send({1, address()}, Query(1).SerializeAsString());
    const auto health = other.Health();
    return !health.empty() && health[0].error == "too new";
  };
  for (int i = 0; i < 6'000 && !refused(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_TRUE(refused());
  EXPECT_EQ(received_, 0);
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(told_.cluster_id, "cluster");
  EXPECT_EQ(told_.store_id, 8u);
  EXPECT_EQ(told_.start_id, 9u);
  EXPECT_EQ(told_.oldest_protocol, 98u);
  EXPECT_EQ(told_.newest_protocol, 99u);
}

TEST_F(TransportTest, CountsMembersWhoseNameDoesNotResolve) {
  GrpcTransport other(2, grpc::InsecureChannelCredentials());
  other.Send({1, "no-such-host.invalid:7401"}, Query(1).SerializeAsString());
  for (int i = 0; i < 6'000 && other.refused().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(other.refused()["ADDRESS_NOT_RESOLVED"], 1u);
  EXPECT_THAT(other.Health()[0].error, HasSubstr("its name does not resolve"));
  other.SetMembers({{2, "self:1"}});
  EXPECT_TRUE(other.Health().empty());
  EXPECT_GE(other.refused()["ADDRESS_NOT_RESOLVED"], 1u) << "a counter does not go back";
}

TEST_F(TransportTest, FindsAMemberOnceItsNameIsThere) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto comes = [&](const auto& condition) {
    return HoldsWithin(until - std::chrono::steady_clock::now(), std::chrono::milliseconds(20),
                       condition);
  };
  rpc::NameServer names("member.test");
  GrpcTransport other(2, grpc::InsecureChannelCredentials());
  other.Send({1, names.Address(port_)}, Query(1).SerializeAsString());
  EXPECT_TRUE(comes([&] { return names.asked() > 0; }));
  EXPECT_EQ(received_, 0);
  names.Say(rpc::NameServer::Says::kLoopback);
  EXPECT_TRUE(comes([&] { return received_ == 1; })) << other.Health()[0].error;
}

}  // namespace
}  // namespace faultline::raft
