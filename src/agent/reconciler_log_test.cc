// What the agent's log says of a fault's life, line by line.
#include "agent/reconciler_fixture.h"
#include "base/log_testing.h"

namespace faultline::agent {
namespace {

using Lines = std::vector<std::string>;

class ReconcilerLogTest : public ReconcilerTest {
 protected:
  // A line about the fault of experiment e1.
  static std::string Line(const std::string& level, const std::string& what) {
    return level + " experiment e1 fault 0 on host/a: " + what +
           " experiment_id=e1 target_id=host/a";
  }
};

TEST_F(ReconcilerLogTest, TellsThatAFaultIsArmedAndWhatEndsIt) {
  EXPECT_EQ(LoggedLines([&] { Desire({"e1"}); }), Lines({Line("I", "KNOWN armed")}));
  EXPECT_EQ(LoggedLines([&] {
              Desire({"e1"});
              Advance(kSecond);
            }),
            Lines());
  EXPECT_EQ(LoggedLines([&] { Desire({}); }), Lines({Line("I", "reverted: stopped")}));
  EXPECT_EQ(LoggedLines([&] { Advance(kSecond); }), Lines());
}

TEST_F(ReconcilerLogTest, TellsOfADeadline) {
  Desire({"e1"}, 10);
  EXPECT_EQ(LoggedLines([&] { Advance(10 * kSecond); }),
            Lines({Line("I", "reverted: its time is up")}));
}

TEST_F(ReconcilerLogTest, TellsOfALeaseThatIsLostAndHeldAgain) {
  Desire({"e1"});
  EXPECT_EQ(LoggedLines([&] { reconciler_.SetLeaseHeld(false, now_); }),
            Lines({"W the lease has run out: nothing is armed until a controller grants another",
                   Line("I", "disarmed for now: lease ran out")}));
  EXPECT_EQ(LoggedLines([&] { reconciler_.SetLeaseHeld(true, now_); }),
            Lines({"I a lease is held", Line("I", "KNOWN armed")}));
}

TEST_F(ReconcilerLogTest, TellsWhatIsRefusedAndWhy) {
  EXPECT_EQ(LoggedLines([&] { Desire({"e1"}, 60, "UNKNOWN"); }),
            Lines({Line("I", "refused: this agent does not know the fault kind UNKNOWN")}));
}

TEST_F(ReconcilerLogTest, TellsOfAHalt) {
  Desire({"e1"});
  EXPECT_EQ(LoggedLines([&] { reconciler_.Halt(now_); }),
            Lines({Line("I", "reverted: halted locally")}));
}

TEST_F(ReconcilerLogTest, TellsOnceWhyAFaultCannotBeRevertedHoweverOftenItIsTried) {
  Desire({"e1"});
  driver_.disarm_status = absl::InternalError("the device is busy");
  EXPECT_EQ(LoggedLines([&] {
              Desire({});
              for (int i = 0; i < 20; ++i) Advance(kSecond / 10);
            }),
            Lines({Line("E", "cannot be reverted: the device is busy")}));
  driver_.disarm_status = absl::OkStatus();
  EXPECT_EQ(LoggedLines([&] { Advance(kSecond); }), Lines({Line("I", "reverted: stopped")}));
}

TEST_F(ReconcilerLogTest, TellsOnceThatAFaultIsTriedAgainAndThatItIsGivenUp) {
  Desire({});  // what an agent is told of first it tries without end
  driver_.arm_status = absl::UnavailableError("no room yet");
  EXPECT_EQ(LoggedLines([&] {
              Desire({"e1"});
              for (int i = 0; i < 100; ++i) Advance(kSecond / 10);
            }),
            Lines({Line("W", "cannot be armed, and is tried again: no room yet"),
                   Line("I", "refused: no room yet")}));
}

}  // namespace
}  // namespace faultline::agent
