// Targets of which there are more than one look has time for.
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Words = std::vector<std::string>;

class TurnsTest : public DriverTest {
 protected:
  // Targets in the server's namespace by these names, told apart by their ports.
  std::vector<chaos::v1::Target> Named(const Words& names) const {
    std::vector<chaos::v1::Target> targets;
    for (const std::string& name : names) {
      targets.push_back(ServerTarget({7'001 + static_cast<uint32_t>(targets.size())}));
      targets.back().set_target_id(name);
    }
    return targets;
  }
  // Of each target "there", "waits", or why it has no place.
  Words Look(const std::vector<chaos::v1::Target>& targets) {
    Words words;
    for (const Status& status : driver_->SetTargets(targets)) {
      const bool waits = ReasonOf(status) == faults::kUnderWay;
      words.push_back(status.ok() ? "there" : waits ? "waits" : ToString(status.message()));
    }
    return words;
  }
  void HaveTimeForOne() {
    go_on_ = [](uint64_t) { return false; };
  }
};

TEST_F(TurnsTest, WhatThereIsNoTimeForIsTakenByTheNextLooks) {
  const auto targets = Named({"c", "b", "a"});
  HaveTimeForOne();
  EXPECT_THAT(Look(targets), ElementsAre("there", "waits", "waits"));
  EXPECT_THAT(Look(targets), ElementsAre("there", "there", "waits"));
  EXPECT_THAT(Look(targets), ElementsAre("there", "there", "there"));
  EXPECT_THAT(Look(targets), ElementsAre("there", "there", "there"));
}

TEST_F(TurnsTest, ATargetIsAStepWhetherItIsLookedAtTakenOrNot) {
  std::vector<uint64_t> begun;
  go_on_ = [&](uint64_t begun_ns) {
    begun.push_back(begun_ns);
    return true;
  };
  auto targets = Named({"a", "b"});
  targets[0].set_interface("eth7");
  EXPECT_EQ(Look(targets)[1], "there");
  ASSERT_EQ(begun.size(), 2u);
  EXPECT_EQ(begun[0], begun[1]);
  targets.pop_back();
  Look(targets);
  ASSERT_EQ(begun.size(), 6u) << "both are looked at, one is let go of, one tried again";
  EXPECT_EQ(begun[4], begun[5]);
  EXPECT_LE(begun[3], begun[4]) << "the look is not of the turn";
  driver_.reset();
}

TEST_F(TurnsTest, WhatIsNotThereKeepsNoOtherWaiting) {
  auto targets = Named({"a", "b", "c"});
  targets[0].set_interface("eth7");
  const auto missing = HasSubstr("there is none of that name");
  HaveTimeForOne();
  EXPECT_THAT(Look(targets), ElementsAre(missing, "waits", "waits"));
  EXPECT_THAT(Look(targets), ElementsAre(missing, "there", "waits"));
  EXPECT_THAT(Look(targets), ElementsAre(missing, "there", "there"));
  targets[2].set_interface("eth8");
  EXPECT_THAT(Look(targets), ElementsAre("waits", "there", "waits")) << "c had to be left first";
  EXPECT_THAT(Look(targets), ElementsAre(missing, "there", "waits"));
  EXPECT_THAT(Look(targets), ElementsAre(missing, "there", missing));
}

TEST_F(TurnsTest, AFaultIsArmedOnATargetWhoseTurnHasNotCome) {
  HaveTimeForOne();
  EXPECT_THAT(Look(Named({"s", "t"})), ElementsAre("there", "waits"));
  Arm(Loss(100));
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  EXPECT_THAT(Look(Named({"s", "t"})), ElementsAre("there", "there"));
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
}

TEST_F(TurnsTest, TargetsThatHaveMovedAreLeftAndTakenOneAfterTheOther) {
  const auto targets = Named({"s", "t"});
  EXPECT_THAT(Look(targets), ElementsAre("there", "there"));
  HaveTimeForOne();
  network_->RestartServer();
  for (const auto& still_wait : {Words{"waits", "waits"}, Words{"waits", "waits"},
                                 Words{"there", "waits"}, Words{"there", "there"}}) {
    EXPECT_EQ(Look(targets), still_wait);
  }
}

TEST_F(TurnsTest, AFaultFollowsATargetThatCouldNotBeLeftYet) {
  const auto targets = Named({"s", "t"});
  EXPECT_THAT(Look(targets), ElementsAre("there", "there"));
  Arm(Loss(100));
  HaveTimeForOne();
  network_->RestartServer();
  EXPECT_THAT(Look(targets), ElementsAre("waits", "waits"));
  EXPECT_THAT(driver_->Armed(), IsEmpty());
  EXPECT_THAT(driver_->WhyGone(Key()), HasSubstr("is another one now"));
  Arm(Loss(100));
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  EXPECT_THAT(Look(targets), ElementsAre("there", "there"));
}

}  // namespace
}  // namespace faultline::netns_test
