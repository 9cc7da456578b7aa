// Targets that are cgroups.
#include "netns/cgroup.h"

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::HasSubstr;

constexpr uint16_t kInsidePort = 7001;
constexpr uint16_t kOutsidePort = 7002;
// How long an answer that should not come is waited for. One that should come has kPatience.
constexpr auto kLost = 150ms;

class CgroupTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    if (!cgroup_.why().empty()) GTEST_SKIP() << cgroup_.why();
    outside_ = std::make_unique<EchoServer>(*network_, kOutsidePort);
    cgroup_.EnterInner();
    inside_ = std::make_unique<EchoServer>(*network_, kInsidePort);
    cgroup_.Leave();
  }
  void TearDown() override {
    inside_.reset();
    outside_.reset();
  }
  bool Answers(uint16_t port, std::chrono::milliseconds patience = kPatience) {
    Client client(*network_, Protocol::kUdp, Network::kServer4, port);
    return client.RoundTrip(patience).has_value();
  }

  const OwnCgroup cgroup_;
  std::unique_ptr<EchoServer> inside_, outside_;
};

TEST_F(CgroupTest, OnlyWhatTheCgroupAndThoseBelowItSendIsTouched) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  Arm(Loss(100));
  EXPECT_FALSE(Answers(kInsidePort, kLost));
  EXPECT_TRUE(Answers(kOutsidePort));
  Disarm();
  EXPECT_TRUE(Answers(kInsidePort));
}

TEST_F(CgroupTest, IngressIsRefusedWithASentence) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  const Status status = TryArm(Loss(100, pb::DIRECTION_BOTH));
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(status.message()), HasSubstr("egress only"));
  EXPECT_TRUE(driver_->Armed().empty());
}

TEST_F(CgroupTest, ACgroupThatIsNotThereIsRefused) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup("fl-no-such-cgroup");
  EXPECT_EQ(driver_->SetTargets({target})[0].code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace faultline::netns_test
