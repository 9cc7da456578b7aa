// What is told of a transfer of leadership: who leads after it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>

#include "server/cluster.h"
#include "server/leader_tries.h"
#include "server/node_testing.h"
#include "server/plane_testing.h"

namespace faultline::server {
namespace {

using testing::HasSubstr;

constexpr uint64_t kOwn = 1, kOther = 2, kThird = 3;
constexpr uint64_t kNever = UINT64_MAX / 2;

// Another node, which says of a transfer what the test says.
class OtherLeader final : public ClusterPeers {
 public:
  void Describe(const std::string&, const v1::DescribeRequest&, uint64_t,
                Done<v1::DescribeResponse> done) override {
    done(absl::UnavailableError("nobody is there"));
  }
  void Change(const std::string&, const v1::ChangeRequest&, uint64_t,
              std::function<void(Status)> done) override {
    done(transfer());
  }
  void Shutdown() override {}

  std::function<Status()> transfer;
};

class HandingOver : public ::testing::Test {
 protected:
  void SetUp() override {
    plane_.Attach(&node_);
    cluster_.Attach(&node_);
    See(kOwn);
  }
  void TearDown() override {
    if (!detached_) Detach();
    timers_.Stop();
  }
  void Detach() {
    detached_ = true;
    cluster_.Detach();
    plane_.Detach();
  }
  // Who leads, as this node sees it; 0: nobody.
  void See(uint64_t leader) {
    raft::View view;
    view.role = leader == kOwn ? raft::Role::kLeader : raft::Role::kFollower;
    view.leader_id = leader;
    view.leader_address = leader == 0 ? "" : "other:7401";
    node_.See(view);
  }
  // This node leads, and loses that: it sees `leader` next.
  void LosesLeadershipTo(uint64_t leader) {
    node_.OnTransfer([this, leader](const std::function<void(Status)>& done) {
      See(leader);
      done(absl::OkStatus());
    });
  }
  // Another one leads, and answers so; this node sees `leader` next.
  void OtherAnswers(const Status& answer, uint64_t leader) {
    See(kOther);
    others_.transfer = [this, answer, leader] {
      See(leader);
      return answer;
    };
  }
  std::future<Status> Begin(uint64_t to, uint64_t deadline_ns = kNever) {
    v1::ChangeRequest request;
    request.set_kind(v1::ChangeRequest::KIND_TRANSFER);
    request.set_node_id(to);
    auto end = std::make_shared<std::promise<Status>>();
    cluster_.Change({{}, deadline_ns}, request,
                    [end](const Status& status) { end->set_value(status); });
    return end->get_future();
  }
  Status Transfer(uint64_t to) { return Begin(to).get(); }
  // That is still without another leader at its deadline.
  Status TransferInVain(uint64_t to) {
    return SearchInVain(node_, [&](uint64_t deadline_ns) { return Begin(to, deadline_ns).get(); });
  }
  static void ExpectOtherLeader(const Status& status, const std::string& sentence) {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(ReasonOf(status), "NOT_TRANSFERRED") << status;
    EXPECT_THAT(ToString(status.message()), HasSubstr(sentence));
  }
  static void ExpectUnknown(const Status& status, const std::string& sentence) {
    EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded) << status;
    EXPECT_EQ(ReasonOf(status), "OUTCOME_UNKNOWN") << status;
    EXPECT_THAT(ToString(status.message()), HasSubstr(sentence));
  }

  Strand timers_{"timers"};
  ControlPlane plane_{&timers_};
  SilentNode node_;
  OtherLeader others_;
  Cluster cluster_{kOwn, &plane_, &others_, &timers_};
  bool detached_ = false;
};

TEST_F(HandingOver, IsDoneWhenTheNodeThatWasNamedLeads) {
  LosesLeadershipTo(kThird);
  EXPECT_EQ(Transfer(kThird), absl::OkStatus());
  See(kOwn);
  EXPECT_EQ(Transfer(0), absl::OkStatus()) << "anybody will do";
}

TEST_F(HandingOver, IsNotDoneWhenAThirdOneWasElected) {
  LosesLeadershipTo(kOther);
  ExpectOtherLeader(Transfer(kThird), "node 2 leads, and not node 3: node 1 was lost");
}

TEST_F(HandingOver, IsNotDoneWhenNobodyLeadsAnyMore) {
  LosesLeadershipTo(0);
  ExpectUnknown(TransferInVain(kThird), "node 1 was to hand over, and node 1 sees no leader since");
  See(kOwn);
  ExpectUnknown(TransferInVain(0), "node 1 sees no leader since");
}

TEST_F(HandingOver, WaitsUntilALeaderIsKnown) {
  LosesLeadershipTo(0);
  // It waits for five seconds, in which a machine that stands still may not come to an answer.
  Status status;
  EXPECT_TRUE(Eventually([&] {
    See(kOwn);
    auto end = Begin(kThird);
    const int looks = node_.looks();
    EXPECT_TRUE(Eventually([&] { return node_.looks() > looks; }));
    if (end.wait_for(std::chrono::seconds(0)) == std::future_status::ready) return false;
    See(kThird);
    status = end.get();
    return ReasonOf(status) != "OUTCOME_UNKNOWN";
  }));
  EXPECT_EQ(status, absl::OkStatus());
}

TEST_F(HandingOver, WhenItsLeaderIsLostIsJudgedByWhoLeadsNext) {
  const Status lost = absl::UnavailableError("Connection reset by peer");
  for (const Status& answer : {lost, NodeEnding(kOther), absl::OkStatus()}) {
    OtherAnswers(answer, kThird);
    EXPECT_EQ(Transfer(kThird), absl::OkStatus()) << answer;
    OtherAnswers(answer, kOwn);
    ExpectOtherLeader(Transfer(kThird), "node 1 leads, and not node 3: node 2 was lost");
    OtherAnswers(answer, 0);
    ExpectUnknown(TransferInVain(kThird), "node 2 was to hand over");
    // It may lead on: only the way to it was lost.
    OtherAnswers(answer, kOther);
    ExpectUnknown(TransferInVain(kThird), "sees no other leader than that");
  }
}

TEST_F(HandingOver, ToTheOneThatLeadsAlreadyIsDone) {
  const auto refusal = [](uint64_t id) {
    return MakeDetailedError(StatusCode::kFailedPrecondition, "NO_TRANSFEREE",
                             fmt::format("node {} is no other voter that can be reached", id));
  };
  OtherAnswers(refusal(kOther), kOther);
  EXPECT_EQ(Transfer(kOther), absl::OkStatus());
  OtherAnswers(refusal(kThird), kOther);
  EXPECT_EQ(ReasonOf(Transfer(kThird)), "NO_TRANSFEREE");
}

TEST_F(HandingOver, EndsWithTheNode) {
  LosesLeadershipTo(0);
  auto end = Begin(kThird);
  Detach();
  EXPECT_EQ(ReasonOf(end.get()), "OUTCOME_UNKNOWN");
}

}  // namespace
}  // namespace faultline::server
