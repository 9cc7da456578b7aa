#include "server/scheduler.h"

#include <gtest/gtest.h>

#include <optional>

#include "server/node_testing.h"
#include "server/plane_testing.h"

namespace faultline::server {
namespace {

using Ids = std::set<std::string>;

// A leader with short leases, which nobody tells of an agent.
class Leading : public PlaneTest {
 protected:
  void SetUp() override {
    plane.Attach(&node);
    raft::View view;
    view.role = raft::Role::kLeader;
    view.term = view.leader_id = 1;
    node.See(view);
  }
  void TearDown() override {
    strand.Stop();
    plane.Detach();
  }
  // Whom it has declared lost, or gone, so far.
  Ids Named(control::v1::Command::KindCase kind) {
    Ids ids;
    strand.Run([&] {
      for (const std::string& bytes : node.commands) {
        control::v1::Command command;
        EXPECT_TRUE(command.ParseFromString(bytes));
        if (command.kind_case() != kind) continue;
        ids.insert(command.has_agent_lost() ? command.agent_lost().agent_id()
                                            : command.agent_disconnected().agent_id());
      }
    });
    return ids;
  }
  bool Names(control::v1::Command::KindCase kind, const Ids& ids) {
    return Eventually([&] { return Named(kind) == ids; });
  }

  SilentNode node;  // ends first, as nodes do
  Strand strand{"scheduler"};
  std::optional<Scheduler> scheduler;
};

constexpr auto kLost = control::v1::Command::kAgentLost;
constexpr auto kGone = control::v1::Command::kAgentDisconnected;

// Agents are looked at in the order of their ids: "a" was, when "b" is named.
TEST_F(Leading, WaitsForTheLongestLeaseThatAnAgentMayHoldWhateverItsOwnIs) {
  Register("a", /*lease_s=*/3'600);
  Register("b", /*lease_s=*/0);
  StartOn("any:yes");
  scheduler.emplace(&strand, &plane, std::chrono::milliseconds(100));
  EXPECT_TRUE(Names(kLost, {"b"}));
  EXPECT_TRUE(Names(kGone, {"b"})) << "its node may have no need to report it so often";
}

TEST_F(Leading, WaitsForALongLeaseOfAnEarlierNodeOfTheAgentsToo) {
  Register("a", /*lease_s=*/3'600);
  Register("b", /*lease_s=*/0);
  StartOn("any:yes");
  Register("a", /*lease_s=*/1);
  scheduler.emplace(&strand, &plane, std::chrono::milliseconds(100));
  EXPECT_TRUE(Names(kLost, {"b"}));
}

TEST_F(Leading, CallsAnAgentLostOnceTwoOfItsLongestLeaseAreOver) {
  Register("a", /*lease_s=*/1);
  StartOn("any:yes");
  scheduler.emplace(&strand, &plane, std::chrono::milliseconds(100));
  EXPECT_TRUE(Names(kLost, {"a"}));
}

}  // namespace
}  // namespace faultline::server
