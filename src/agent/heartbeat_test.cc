#include "agent/heartbeat.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/clock.h"

namespace faultline::agent {
namespace {

constexpr uint64_t kHeartbeatNs = 40'000'000;

TEST(Heartbeat, IsRenewedBeforeItRunsOutWhileTheStrandLives) {
  faults::LeasePage page{};
  Heartbeat heartbeat(&page, kHeartbeatNs);
  const uint64_t begin_ns = BoottimeNowNs();
  while (page.heartbeat_until_ns < begin_ns + 3 * kHeartbeatNs) {
    heartbeat.Alive();
    usleep(1'000);
  }
  SUCCEED();
}

TEST(Heartbeat, RunsOutWhenTheStrandIsWedged) {
  faults::LeasePage page{};
  const uint64_t before_ns = BoottimeNowNs();
  Heartbeat heartbeat(&page, kHeartbeatNs);
  const uint64_t wedged_ns = BoottimeNowNs();
  while (page.heartbeat_until_ns == 0 || BoottimeNowNs() < page.heartbeat_until_ns) usleep(1'000);
  EXPECT_GE(page.heartbeat_until_ns, before_ns);
  EXPECT_LE(page.heartbeat_until_ns, wedged_ns + Heartbeat::kStrandPatienceNs + 2 * kHeartbeatNs);
  do {
    heartbeat.Alive();
    usleep(1'000);
  } while (BoottimeNowNs() >= page.heartbeat_until_ns);
}

TEST(Heartbeat, EndsAtOnceWithTheObject) {
  faults::LeasePage page{};
  {
    Heartbeat heartbeat(&page, kHeartbeatNs);
  }
  EXPECT_EQ(page.heartbeat_until_ns, 0u);
}

}  // namespace
}  // namespace faultline::agent
