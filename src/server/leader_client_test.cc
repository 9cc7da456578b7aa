#include "server/leader_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "server/node_testing.h"

namespace faultline::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kOwn = 1, kOther = 2;
constexpr uint64_t kNever = UINT64_MAX / 2;

// Others, all of which answer every call with one status, or the first with another.
class RefusingPeers final : public Peers {
 public:
  void SetMembers(const std::vector<raft::Member>&) override {}
  void Forward(uint64_t, const v1::ForwardRequest&, uint64_t,
               Done<v1::ForwardResponse> done) override {
    done(std::exchange(first, std::nullopt).value_or(answer));
  }
  void ReadIndex(uint64_t, const v1::ReadIndexRequest&, uint64_t,
                 Done<v1::ReadIndexResponse> done) override {
    done(std::exchange(first, std::nullopt).value_or(answer));
  }
  void ReportSessions(uint64_t, const v1::ReportSessionsRequest&, uint64_t,
                      Done<v1::ReportSessionsResponse>) override {}
  std::unique_ptr<Relay> RelayMetrics(uint64_t, uint64_t, const AgentSet&,
                                      std::function<void(const chaos::v1::MetricsBatch&)>,
                                      std::function<void()>) override {
    return nullptr;
  }
  void Shutdown() override {}

  Status answer = absl::UnavailableError("Connection reset by peer");
  std::optional<Status> first;
};

class SearchingTheLeader : public ::testing::Test {
 protected:
  void SetUp() override { plane_.Attach(&node_); }
  void TearDown() override {
    plane_.Detach();
    timers_.Stop();
    node_.waiting.clear();
  }
  // What a call says that ends before its deadline.
  Status Command(uint64_t deadline_ns = kNever) {
    control::v1::Command command;
    command.mutable_stop_experiments()->set_all(true);
    return Propose(command, deadline_ns);
  }
  Status CommandWithRequestId() {
    control::v1::Command command;
    command.mutable_create_experiment()->set_request_id("r1");
    return Propose(command, kNever);
  }
  Status Propose(const control::v1::Command& command, uint64_t deadline_ns) {
    std::promise<Status> end;
    client_.Propose({{}, deadline_ns}, command,
                    [&](const auto& result) { end.set_value(result.status()); });
    return end.get_future().get();
  }
  Status Read(uint64_t deadline_ns = kNever) {
    std::promise<Status> end;
    client_.CatchUp({{}, deadline_ns}, [&](const Status& status) { end.set_value(status); });
    return end.get_future().get();
  }
  // And one for which nobody is found in time who carries it out.
  Status CommandInVain() {
    return SearchInVain(node_, [this](uint64_t deadline_ns) { return Command(deadline_ns); });
  }
  Status ReadInVain() {
    return SearchInVain(node_, [this](uint64_t deadline_ns) { return Read(deadline_ns); });
  }
  static raft::View Follower(uint64_t leader) {
    raft::View view;
    view.role = raft::Role::kFollower;
    view.leader_id = leader;
    return view;
  }
  static void ExpectUnavailable(const Status& status, const std::string& reason,
                                const testing::Matcher<const std::string&>& message) {
    EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
    ASSERT_TRUE(DetailOf(status)) << status;
    EXPECT_EQ(DetailOf(status)->reason(), reason);
    EXPECT_THAT(ToString(status.message()), message);
  }

  Strand timers_{"timers"};
  ControlPlane plane_{&timers_};
  SilentNode node_;  // ends first, as nodes do
  RefusingPeers peers_;
  LeaderClient client_{kOwn, &plane_, &peers_, nullptr, &timers_};
};

constexpr char kUnknown[] = "whether it is carried out is not known";

TEST_F(SearchingTheLeader, EndsWithoutOneWhenThereIsNone) {
  node_.See(Follower(0));
  const auto message = AllOf(HasSubstr("node 1 finds no majority"), Not(HasSubstr(kUnknown)));
  ExpectUnavailable(CommandInVain(), "NO_LEADER", message);
  ExpectUnavailable(ReadInVain(), "NO_LEADER", message);
}

TEST_F(SearchingTheLeader, EndsWithWhatIsWrongWithTheNodesDisk) {
  raft::View view = Follower(0);
  view.storage_problem = "cannot write /data/1.log: No space left on device (errno 28)";
  node_.See(view);
  const auto message = AllOf(HasSubstr("node 1 can store nothing at present"),
                             HasSubstr("No space left on device"), Not(HasSubstr(kUnknown)));
  ExpectUnavailable(CommandInVain(), "STORAGE_FAILED", message);
  ExpectUnavailable(ReadInVain(), "STORAGE_FAILED", message);
}

TEST_F(SearchingTheLeader, EndsWithWhatIsWrongWithTheLeadersDisk) {
  node_.See(Follower(kOther));
  peers_.answer = MakeDetailedError(StatusCode::kUnavailable, "STORAGE_FAILED",
                                    "this node can store nothing at present: it is full");
  ExpectUnavailable(CommandInVain(), "STORAGE_FAILED",
                    AllOf(HasSubstr("node 2: this node can store nothing at present: it is full"),
                          Not(HasSubstr(kUnknown))));
}

TEST_F(SearchingTheLeader, EndsWithWhatTheLeaderSaidLastAndThatTheOutcomeIsNotKnown) {
  node_.See(Follower(kOther));
  const auto said = HasSubstr("(node 2, asked as the leader: Connection reset by peer)");
  ExpectUnavailable(CommandInVain(), "NO_LEADER", AllOf(said, HasSubstr(kUnknown)));
  ExpectUnavailable(ReadInVain(), "NO_LEADER", AllOf(said, Not(HasSubstr(kUnknown))));
}

TEST_F(SearchingTheLeader, SaysThatTheOutcomeIsNotKnownWhenALaterTryIsRefused) {
  node_.See(Follower(kOther));
  peers_.answer = MakeDetailedError(StatusCode::kResourceExhausted, "TOO_MANY_CALLS", "busy");
  auto detail = *DetailOf(peers_.answer);
  detail.mutable_retry_after()->set_seconds(1);
  AttachDetail(peers_.answer, detail);
  EXPECT_EQ(Command(), peers_.answer) << "no other try came before it";
  const auto refused_later = [&](auto command) {
    peers_.first = absl::UnavailableError("Connection reset by peer");
    const Status refused = command();
    EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted) << refused;
    EXPECT_EQ(DetailOf(refused)->reason(), "TOO_MANY_CALLS");
    EXPECT_EQ(DetailOf(refused)->retry_after().seconds(), 1);
    return ToString(refused.message());
  };
  EXPECT_THAT(refused_later([this] { return Command(); }),
              AllOf(HasSubstr(kUnknown), HasSubstr("look before you ask again")));
  EXPECT_THAT(refused_later([this] { return CommandWithRequestId(); }),
              AllOf(HasSubstr(kUnknown), HasSubstr("ask again with the same request id")));
  EXPECT_THAT(refused_later([this] { return Read(); }), testing::StrEq("busy"));
}

TEST_F(SearchingTheLeader, KnowsThatNothingWasDoneWhereNobodyLed) {
  node_.See(Follower(kOther));
  peers_.answer =
      MakeDetailedError(StatusCode::kUnavailable, "NOT_LEADER", "this node does not lead");
  ExpectUnavailable(CommandInVain(), "NO_LEADER",
                    AllOf(HasSubstr("finds no majority"), Not(HasSubstr(kUnknown))));
}

TEST_F(SearchingTheLeader, SaysThatTheOutcomeIsNotKnownWhileItIsProposedHere) {
  raft::View view = Follower(kOwn);
  view.role = raft::Role::kLeader;
  node_.See(view);
  Status proposed;
  // Whoever stands still until the deadline proposes nothing.
  for (uint64_t patience_ns = kNanosPerSecond / 2;
       node_.commands.empty() && patience_ns < 600 * kNanosPerSecond; patience_ns *= 4) {
    proposed = Command(MonotonicNowNs() + patience_ns);
  }
  ExpectUnavailable(proposed, "NO_LEADER", HasSubstr(kUnknown));
  EXPECT_EQ(node_.commands.size(), 1u);
}

TEST_F(SearchingTheLeader, EndsAtOnceWhenTheNodeEnds) {
  node_.See(raft::View());
  std::promise<Status> end;
  client_.CatchUp({{}, kNever}, [&](const Status& status) { end.set_value(status); });
  ExpectUnavailable(end.get_future().get(), "NODE_ENDING", HasSubstr("node 1"));
}

}  // namespace
}  // namespace faultline::server
