#include "client/cancellation.h"

#include <gtest/gtest.h>

#include <thread>

namespace faultline::client {
namespace {

TEST(Cancellation, TellsEverySubscriberOnce) {
  auto token = std::make_shared<Cancellation>();
  int calls = 0;
  Cancellation::Subscription one(token, [&] { ++calls; });
  Cancellation::Subscription two(token, [&] { ++calls; });
  token->Cancel();
  token->Cancel();
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(token->cancelled());
}

TEST(Cancellation, ALateSubscriberIsToldAtOnceAndAGoneOneNever) {
  auto token = std::make_shared<Cancellation>();
  int gone = 0, late = 0;
  {
    Cancellation::Subscription subscription(token, [&] { ++gone; });
  }
  token->Cancel();
  Cancellation::Subscription subscription(token, [&] { ++late; });
  EXPECT_EQ(gone, 0);
  EXPECT_EQ(late, 1);
}

TEST(Cancellation, EndsAWaitFromAnotherThread) {
  auto token = std::make_shared<Cancellation>();
  std::thread other([&] { token->Cancel(); });
  EXPECT_TRUE(token->WaitFor(std::chrono::hours(1)));
  other.join();
}

TEST(Cancellation, AWaitThatRunsOutSaysSo) {
  EXPECT_FALSE(Cancellation().WaitFor(std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace faultline::client
