#include "faults/network/hold_queue.h"

#include <gtest/gtest.h>

#include <limits>

namespace faultline::network {
namespace {

std::unique_ptr<Frame> MakeFrame(uint32_t flow, uint64_t name) {
  auto frame = std::make_unique<Frame>();
  frame->flow.hash = flow;
  frame->t0_ns = name;
  frame->what.size_bytes = 100;
  return frame;
}

TEST(HoldQueueTest, AReleaseFreesTheOldestFrameOfItsFlow) {
  HoldQueue queue;
  queue.Push(MakeFrame(1, 10), 300);
  queue.Push(MakeFrame(1, 11), 100);
  queue.Push(MakeFrame(2, 20), 200);
  EXPECT_EQ(queue.NextReleaseNs(), 100u);
  EXPECT_EQ(queue.Pop()->t0_ns, 10u);
  EXPECT_EQ(queue.NextReleaseNs(), 200u);
  EXPECT_EQ(queue.Pop()->t0_ns, 20u);
  EXPECT_EQ(queue.NextReleaseNs(), 300u);
  EXPECT_EQ(queue.Pop()->t0_ns, 11u);
  EXPECT_EQ(queue.NextReleaseNs(), std::numeric_limits<uint64_t>::max());
}

constexpr uint64_t kMillisecond = 1'000'000;

// Held by two faults, of which one picks; what comes behind, by the other alone.
TEST(HoldQueueTest, WhatIsNotDrawnHoldsThoseBehind) {
  HoldQueue queue;
  queue.Push(MakeFrame(1, 10), 1'100 * kMillisecond, 1'100 * kMillisecond);
  queue.Push(MakeFrame(1, 11), 150 * kMillisecond, 150 * kMillisecond);
  queue.Push(MakeFrame(2, 20), 200 * kMillisecond, 200 * kMillisecond);
  EXPECT_EQ(queue.Pop()->t0_ns, 20u);
  EXPECT_EQ(queue.NextReleaseNs(), 1'100 * kMillisecond);
  auto first = queue.Pop();
  EXPECT_EQ(first->t0_ns, 10u);
  EXPECT_FALSE(first->cut_short);
  EXPECT_EQ(queue.NextReleaseNs(), 1'100 * kMillisecond);
  EXPECT_TRUE(queue.Holds(first->flow));
  const auto second = queue.Pop();
  EXPECT_EQ(second->t0_ns, 11u);
  EXPECT_TRUE(second->cut_short);  // its wait was not for its own fault
  EXPECT_FALSE(queue.Holds(first->flow));
  queue.Push(MakeFrame(1, 12), 300 * kMillisecond, 300 * kMillisecond);  // the flow is another now
  EXPECT_EQ(queue.NextReleaseNs(), 300 * kMillisecond);
}

// Of 1,000 ms for some and 100 +- 50 ms for all: the drawn part is exchanged, the other is kept.
TEST(HoldQueueTest, WhatIsDrawnNeverFreesAFrameBeforeItsFloor) {
  HoldQueue queue;
  queue.Push(MakeFrame(1, 10), 1'140 * kMillisecond, 1'000 * kMillisecond);
  queue.Push(MakeFrame(1, 11), 60 * kMillisecond, 0);
  queue.Push(MakeFrame(1, 12), 1'060 * kMillisecond, 10 * kMillisecond);
  for (const auto& [at_ms, name] : {std::pair(1'000, 10u), {1'060, 11u}, {1'140, 12u}}) {
    EXPECT_EQ(queue.NextReleaseNs(), static_cast<uint64_t>(at_ms) * kMillisecond);
    EXPECT_EQ(queue.Pop()->t0_ns, name);
  }
}

// What two processors have exchanged on the way is not a wait.
TEST(HoldQueueTest, AMomentBehindAnotherIsMeasured) {
  HoldQueue queue;
  queue.Push(MakeFrame(1, 10), 100 * kMillisecond + 20'000, 100 * kMillisecond + 20'000);
  queue.Push(MakeFrame(1, 11), 100 * kMillisecond, 100 * kMillisecond);
  EXPECT_FALSE(queue.Pop()->cut_short);
  EXPECT_FALSE(queue.Pop()->cut_short);
}

TEST(HoldQueueTest, WhoeverAReleaseThatIsCutShortFreesIsCutShort) {
  HoldQueue queue;
  auto first = MakeFrame(1, 10);
  first->cut_short = true;
  queue.Push(std::move(first), 300);
  queue.Push(MakeFrame(1, 11), 100);
  auto freed = queue.Pop();
  EXPECT_EQ(freed->t0_ns, 10u);
  EXPECT_FALSE(freed->cut_short);
  freed = queue.Pop();
  EXPECT_EQ(freed->t0_ns, 11u);
  EXPECT_TRUE(freed->cut_short);
}

TEST(HoldQueueTest, TheNextFrameIsTheOldestOfTheFlowWhoseReleaseIsFirst) {
  HoldQueue queue;
  EXPECT_EQ(queue.NextBytes(), 0u);
  auto large = MakeFrame(1, 10);
  large->what.size_bytes = 60'000;
  queue.Push(std::move(large), 300);
  queue.Push(MakeFrame(1, 11), 100);
  EXPECT_EQ(queue.NextBytes(), 60'000u);
  queue.Pop();
  EXPECT_EQ(queue.NextBytes(), 100u);
}

TEST(HoldQueueTest, TheSameHashOnAnotherHookOrDirectionIsAnotherFlow) {
  HoldQueue queue;
  auto other = MakeFrame(1, 99);
  other->flow.direction = 1;
  queue.Push(std::move(other), 500);
  queue.Push(MakeFrame(1, 10), 100);
  EXPECT_EQ(queue.Pop()->t0_ns, 10u);
}

TEST(HoldQueueTest, OvertakenFramesOfAFlowAreInNoOrderWithTheRest) {
  HoldQueue queue;
  auto back = MakeFrame(1, 10);
  back->flow.overtaken = true;
  queue.Push(std::move(back), 300);
  queue.Push(MakeFrame(1, 11), 100);
  queue.Push(MakeFrame(1, 12), 200);
  for (const uint64_t name : {11u, 12u, 10u}) EXPECT_EQ(queue.Pop()->t0_ns, name);
}

TEST(HoldQueueTest, EqualTimesGoInOrderOfArrival) {
  HoldQueue queue;
  for (uint32_t i = 0; i < 5; ++i) queue.Push(MakeFrame(i, i), 100);
  for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(queue.Pop()->t0_ns, i);
}

TEST(HoldQueueTest, MemoryIsAccountedUntilFramesLeave) {
  HoldQueue queue;
  EXPECT_EQ(queue.held_bytes(), 0u);
  queue.Push(MakeFrame(1, 1), 1);
  queue.Push(MakeFrame(1, 2), 2);
  EXPECT_EQ(queue.held_bytes(), 2 * (sizeof(Frame) + 100));
  EXPECT_EQ(queue.TakeAll().size(), 2u);
  EXPECT_EQ(queue.held_bytes(), 0u);
}

}  // namespace
}  // namespace faultline::network
