#include "server/overload.h"

#include <gtest/gtest.h>

#include <vector>

namespace faultline::server {
namespace {

constexpr Gate::Limits kLimits{"things", "TOO_MANY_THINGS", 4, 100, 3};

TEST(Gate, RefusesWhatIsTooManyWithATimeToComeBack) {
  Gate gate(kLimits);
  std::vector<std::shared_ptr<Gate::Ticket>> tickets;
  for (int i = 0; i < 4; ++i) tickets.push_back(*gate.Enter(i < 2 ? "a" : "b", 10));
  const Status refused = gate.Enter("c", 10).status();
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(refused)->reason(), "TOO_MANY_THINGS");
  EXPECT_GT(DetailOf(refused)->retry_after().nanos(), 0);
  EXPECT_EQ(gate.refused(), 1u);
  tickets.pop_back();
  EXPECT_TRUE(gate.Enter("c", 10).ok());
}

TEST(Gate, LeavesRoomForOthersBesideOneClient) {
  Gate gate(kLimits);
  std::vector<std::shared_ptr<Gate::Ticket>> tickets;
  for (int i = 0; i < 3; ++i) tickets.push_back(*gate.Enter("a", 1));
  EXPECT_FALSE(gate.Enter("a", 1).ok());
  EXPECT_TRUE(gate.Enter("b", 1).ok());
}

TEST(Gate, WeighsWhatIsUnderWayButLetsOneLargeThingThrough) {
  Gate gate(kLimits);
  {
    const auto large = gate.Enter("a", 1'000);
    EXPECT_TRUE(large.ok());
    EXPECT_FALSE(gate.Enter("b", 1).ok());
  }
  EXPECT_EQ(gate.count(), 0u);
  const auto one = gate.Enter("a", 60);
  EXPECT_FALSE(gate.Enter("a", 60).ok());
  EXPECT_TRUE(gate.Enter("a", 40).ok());
}

}  // namespace
}  // namespace faultline::server
