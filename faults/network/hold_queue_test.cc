#include "faults/network/hold_queue.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "faults/network/delay.h"

namespace faultline::network {
namespace {

std::unique_ptr<Frame> MakeFrame(uint32_t flow, uint64_t name) {
  auto frame = std::make_unique<Frame>();
  frame->flow.hash = flow;
  frame->t0_ns = name;
  frame->size_bytes = 100;
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

TEST(HoldQueueTest, TheSameHashOnAnotherHookOrDirectionIsAnotherFlow) {
  HoldQueue queue;
  auto other = MakeFrame(1, 99);
  other->flow.direction = 1;
  queue.Push(std::move(other), 500);
  queue.Push(MakeFrame(1, 10), 100);
  EXPECT_EQ(queue.Pop()->t0_ns, 10u);
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

TEST(DelayModelTest, WithoutJitterEveryDelayIsTheOneAsked) {
  DelayModel model(5000, 0, DelayModel::Shape::kNormal, 1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(model.Draw(), 5000u);
}

TEST(DelayModelTest, TheSameSeedDrawsTheSameDelays) {
  DelayModel a(5000, 1000, DelayModel::Shape::kUniform, 9);
  DelayModel b(5000, 1000, DelayModel::Shape::kUniform, 9);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.Draw(), b.Draw());
}

TEST(DelayModelTest, JitterHasTheWidthAskedAndKeepsTheMean) {
  constexpr int kDraws = 100'000;
  for (const auto shape : {DelayModel::Shape::kUniform, DelayModel::Shape::kNormal}) {
    DelayModel model(1'000'000, 100'000, shape, 3);
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double deviation = static_cast<double>(model.Draw()) - 1e6;
      sum += deviation;
      squares += deviation * deviation;
      if (shape == DelayModel::Shape::kUniform) {
        EXPECT_LE(std::abs(deviation), 1e5);
      }
    }
    // A uniform spread of half width w has standard deviation w / sqrt(3).
    const double expected = shape == DelayModel::Shape::kUniform ? 1e5 / std::sqrt(3) : 1e5;
    EXPECT_NEAR(sum / kDraws, 0, 5 * expected / std::sqrt(kDraws));
    EXPECT_NEAR(std::sqrt(squares / kDraws), expected, 0.02 * expected);
  }
}

TEST(DelayModelTest, NoDelayIsNegative) {
  DelayModel model(100, 100'000, DelayModel::Shape::kNormal, 3);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(model.Draw(), 1'000'000u);
}

}  // namespace
}  // namespace faultline::network
