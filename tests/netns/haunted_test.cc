// Filters that cannot be taken off, with the agent's own journal: it tells of them and tries again,
// and until they are gone their hook's number is nobody else's. The kernel refuses because the
// thread lacks CAP_NET_ADMIN.
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "agent/undo_journal.h"
#include "faults/network/hooks.h"
#include "faults/undo.h"
#include "netns/leftovers.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr uint16_t kPort = 7001;
constexpr double kDelayMs = 300;
constexpr auto kLost = 300ms;

// The calling thread may not change networks until this is gone.
class WithoutNetAdmin {
 public:
  WithoutNetAdmin() {
    EXPECT_EQ(syscall(SYS_capget, &header_, before_.data()), 0);
    auto less = before_;
    less[CAP_TO_INDEX(CAP_NET_ADMIN)].effective &= ~CAP_TO_MASK(CAP_NET_ADMIN);
    EXPECT_EQ(syscall(SYS_capset, &header_, less.data()), 0);
  }
  ~WithoutNetAdmin() { EXPECT_EQ(syscall(SYS_capset, &header_, before_.data()), 0); }
  WithoutNetAdmin(const WithoutNetAdmin&) = delete;
  WithoutNetAdmin& operator=(const WithoutNetAdmin&) = delete;

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> before_{};
};

class HauntedTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    auto opened = agent::UndoJournal::Open(path_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    undo_journal_ = *std::move(opened);
    journal_ = undo_journal_.get();
    MakeDriver({.attach_mode = bpf::AttachMode::kClsact});
  }
  void TearDown() override {
    driver_.reset();
    if (undo_journal_) {
      EXPECT_EQ(undo_journal_->size(), 0u);
    }
    std::filesystem::remove(path_);
    DriverTest::TearDown();
  }
  // The target is given up, and its filters cannot be taken off.
  void LeaveFilters() {
    {
      const WithoutNetAdmin without;
      driver_->SetTargets({});
    }
    ExpectLeft();
  }
  void ExpectLeft() const {
    const auto filter = HasSubstr("removing our filter from eth0 failed: Operation not permitted");
    EXPECT_THAT(undo_journal_->left(),
                UnorderedElementsAre(filter, filter, HasSubstr("clsact stays")));
    EXPECT_THAT(FaultlineIn(network_->server_netns()), HasSubstr("fl_ingress"));
    EXPECT_THAT(FaultlineIn(network_->server_netns()), HasSubstr("fl_egress"));
  }
  void TryAgain() { undo_journal_->TryLeft(faults::Undo); }
  static bool Answers(const Network& network, std::chrono::milliseconds patience = kPatience) {
    return Client(network, Protocol::kUdp, Network::kServer4, kPort)
        .RoundTrip(patience)
        .has_value();
  }

  const std::string path_ = "/tmp/fl-haunted-" + std::to_string(getpid());
  std::unique_ptr<agent::UndoJournal> undo_journal_;
};

TEST_F(HauntedTest, WhatStaysOnOneTargetDoesNothingForTheNextAndIsRemovedLater) {
  const Network next;
  const EchoServer server(*network_, kPort), next_server(next, kPort);
  SetTarget(ServerTarget());
  Arm(Loss(100));
  EXPECT_FALSE(Answers(*network_, kLost));
  LeaveFilters();
  EXPECT_TRUE(Answers(*network_));

  chaos::v1::Target next_target = ServerTarget();
  next_target.set_netns(next.server_netns());
  SetTarget(next_target);
  Arm(Loss(100, pb::DIRECTION_BOTH));
  EXPECT_FALSE(Answers(next, kLost));
  EXPECT_TRUE(Answers(*network_)) << "the old filters take it for the next target's";
  {
    const WithoutNetAdmin without;
    TryAgain();
  }
  ExpectLeft();

  TryAgain();
  EXPECT_THAT(undo_journal_->left(), IsEmpty());
  EXPECT_EQ(FaultlineIn(network_->server_netns()), "");
  EXPECT_FALSE(Answers(next, kLost));
  driver_->SetTargets({});
  EXPECT_EQ(FaultlineIn(next.server_netns()), "");
}

TEST_F(HauntedTest, TheSameTargetIsLateOnceBesideItsOldFilters) {
  const EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  LeaveFilters();
  SetTarget(ServerTarget());
  Arm(Latency(kDelayMs));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  const auto is_late = [&] {
    const auto time = client.RoundTrip();
    return time.has_value() && time->count() >= kDelayMs;
  };
  EXPECT_TRUE(is_late());
  EXPECT_TRUE(client.AnswersBefore(1.9 * kDelayMs));
  TryAgain();
  EXPECT_THAT(undo_journal_->left(), ElementsAre(HasSubstr("clsact stays on eth0 as long as fl_")));
  EXPECT_TRUE(is_late());
  driver_.reset();
  TryAgain();
  EXPECT_THAT(undo_journal_->left(), IsEmpty());
}

TEST_F(HauntedTest, TheNumberIsFreeAgainOnceTheFiltersAreGone) {
  constexpr auto kMode = bpf::AttachMode::kClsact;
  driver_.reset();
  const auto loaded = network::Kernel::Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  network::Kernel& kernel = **loaded;
  const auto lane = network::Lane::Start(&kernel.counters(0), &kernel.delay_times(),
                                         kernel.parked(), kernel.tables(), kernel.lease());
  ASSERT_TRUE(lane.ok()) << lane.status();
  network::FqLanes fq(&kernel, journal_, kMode, network::LaneChoice::kTap,
                      network::FqLanes::kMaxHeldBytes);
  network::Hooks hooks(&kernel, lane->get(), &fq, journal_, kMode);
  const auto acquire = [&hooks](const std::string& netns) -> unsigned {
    const auto number = hooks.Acquire({netns, Network::kInterface});
    EXPECT_TRUE(number.ok()) << number.status();
    return number.value_or(FL_MAX_HOOKS);
  };
  const unsigned first = acquire(network_->server_netns());
  {
    const WithoutNetAdmin without;
    hooks.Release(first);
  }
  ExpectLeft();
  for (const auto& netns : {network_->client_netns(), network_->server_netns()}) {
    const unsigned other = acquire(netns);
    EXPECT_NE(other, first);
    hooks.Release(other);
  }
  TryAgain();
  EXPECT_THAT(undo_journal_->left(), IsEmpty());
  const unsigned again = acquire(network_->client_netns());
  EXPECT_EQ(again, first);
  hooks.Release(again);
}

}  // namespace
}  // namespace faultline::netns_test
