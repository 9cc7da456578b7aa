// A driver's process that is killed: the kernel alone puts everything right. Where it has no TCX
// the filters stay until the guardian takes them away; there the heartbeat's end makes them
// harmless.
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "bpf/probe.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr uint16_t kPort = 7001;
constexpr uint64_t kHeartbeatNs = 5 * kNanosPerSecond;
constexpr double kUntouchedMs = 2000;

class KillTest : public DriverTest {};

TEST_F(KillTest, NothingIsFaultyAndNoDeviceIsLeft) {
  driver_.reset();
  const auto before = network_->Links(network_->server_netns());
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    MakeDriver();
    SetTarget(ServerTarget());
    Arm(Latency(60000));
    if (!bpf::HasFeature("tcx")) lease_->heartbeat_until_ns = BoottimeNowNs() + kHeartbeatNs;
    const char done = HasFailure() ? 'f' : 'a';
    (void)!write(ready[1], &done, 1);
    pause();
    _exit(0);
  }
  char state = 0;
  ASSERT_EQ(read(ready[0], &state, 1), 1);
  EXPECT_EQ(state, 'a');
  EchoServer server(*network_, kPort);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  EXPECT_FALSE(client.RoundTrip(150ms).has_value());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
  EXPECT_EQ(network_->Links(network_->server_netns()), before);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace faultline::netns_test
