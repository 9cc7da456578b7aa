// Targets that are cgroups.
#include <unistd.h>

#include <filesystem>
#include <fstream>

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
    for (const char* root : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
      if (std::filesystem::exists(std::string(root) + "/cgroup.procs")) root_ = root;
      if (!root_.empty()) break;
    }
    if (root_.empty()) GTEST_SKIP() << "cgroup v2 is not mounted";
    std::ifstream own("/proc/self/cgroup");
    for (std::string line; std::getline(own, line);) {
      if (line.starts_with("0::")) home_ = line.substr(3);
    }
    name_ = "fl-test-" + std::to_string(getpid());
    std::filesystem::create_directory(root_ + "/" + name_);
    std::filesystem::create_directory(root_ + "/" + name_ + "/inner");
    outside_ = std::make_unique<EchoServer>(*network_, kOutsidePort);
    // A socket belongs to the cgroup that its process was in when it was made.
    MoveTo("/" + name_ + "/inner");
    inside_ = std::make_unique<EchoServer>(*network_, kInsidePort);
    MoveTo(home_);
  }
  void TearDown() override {
    inside_.reset();
    outside_.reset();
    if (name_.empty()) return;
    rmdir((root_ + "/" + name_ + "/inner").c_str());
    rmdir((root_ + "/" + name_).c_str());
  }

  void MoveTo(const std::string& cgroup) {
    std::ofstream procs(root_ + cgroup + "/cgroup.procs");
    procs << getpid() << std::flush;
    ASSERT_TRUE(procs.good()) << cgroup;
  }
  bool Answers(uint16_t port, std::chrono::milliseconds patience = kPatience) {
    Client client(*network_, Protocol::kUdp, Network::kServer4, port);
    return client.RoundTrip(patience).has_value();
  }

  std::string root_, home_, name_;
  std::unique_ptr<EchoServer> inside_, outside_;
};

TEST_F(CgroupTest, OnlyWhatTheCgroupAndThoseBelowItSendIsTouched) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(name_);
  SetTarget(target);
  Arm(Loss(100));
  EXPECT_FALSE(Answers(kInsidePort, kLost));
  EXPECT_TRUE(Answers(kOutsidePort));
  Disarm();
  EXPECT_TRUE(Answers(kInsidePort));
}

TEST_F(CgroupTest, IngressIsRefusedWithASentence) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(name_);
  SetTarget(target);
  const Status status = TryArm(Loss(100, pb::DIRECTION_BOTH));
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(status.message()), HasSubstr("egress only"));
  RecordProperty("way.cgroup_ingress", ToString(status.message()));
  EXPECT_TRUE(driver_->Armed().empty());
}

TEST_F(CgroupTest, ACgroupThatIsNotThereIsRefused) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup("fl-no-such-cgroup");
  EXPECT_EQ(driver_->SetTargets({target})[0].code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace faultline::netns_test
