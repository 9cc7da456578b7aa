#include "base/strand.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace faultline {
namespace {

TEST(Strand, RunsTasksInTheOrderOfPosting) {
  std::vector<int> seen;
  Strand strand("test");
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(strand.Post([&seen, i] { seen.push_back(i); }));
  ASSERT_TRUE(strand.Run([] {}));
  ASSERT_EQ(seen.size(), 1'000u);
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(Strand, RefusesTasksBeyondItsLimit) {
  std::atomic<bool> release{false};  // looked at until the strand has ended
  Strand strand("test", 2);
  ASSERT_TRUE(strand.Post([&] {
    while (!release.load()) std::this_thread::yield();
  }));
  int accepted = 0;
  for (int i = 0; i < 10; ++i) accepted += strand.Post([] {}) ? 1 : 0;
  release.store(true);
  EXPECT_GE(accepted, 1);
  EXPECT_LE(accepted, 2);
}

TEST(Strand, RunsDelayedTasksAfterTheirDelay) {
  std::atomic<int64_t> after_us{0};
  Strand strand("test");
  const auto begin = std::chrono::steady_clock::now();
  strand.PostAfter(std::chrono::milliseconds(20), [&after_us, begin] {
    after_us.store(std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::steady_clock::now() - begin)
                       .count());
  });
  while (after_us.load() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(after_us.load(), 20'000);
}

TEST(Strand, TasksLeftAtTheStopAreDestroyedUnrun) {
  auto token = std::make_shared<int>(1);
  {
    Strand strand("test");
    strand.PostAfter(std::chrono::hours(1), [token] {});
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Strand, WhoRunsATaskThatHasBegunWaitsForItThoughTheStrandStops) {
  std::atomic<bool> begun{false}, release{false}, ended{false};
  bool ran = false, saw_it_end = false;
  Strand strand("test");
  std::thread caller([&] {
    ran = strand.Run([&] {
      begun = true;
      while (!release) std::this_thread::yield();
      ended = true;
    });
    saw_it_end = ended;
  });
  while (!begun) std::this_thread::yield();
  std::thread stopper([&] { strand.Stop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // it would have left by then
  release = true;
  caller.join();
  stopper.join();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(saw_it_end) << "what the task uses is its caller's";
}

TEST(Strand, RefusesTasksAfterTheStop) {
  Strand strand("test");
  strand.Stop();
  EXPECT_FALSE(strand.Post([] {}));
  EXPECT_FALSE(strand.Run([] {}));
}

}  // namespace
}  // namespace faultline
