// The look for what stays of Faultline, with which every test with real packets ends: it finds each
// thing by its name while that is there, and nothing before and afterwards.
#include "netns/leftovers.h"

#include <bpf/bpf.h>
#include <gtest/gtest-spi.h>

#include <algorithm>
#include <initializer_list>
#include <sstream>

#include "bpf/probe.h"
#include "netns/forked_driver.h"
#include "netns/fq_fixture.h"

namespace faultline::netns_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Whether one line has all the words.
bool HasLine(const std::string& text, std::initializer_list<const char*> words) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (std::ranges::all_of(
            words, [&line](const char* word) { return line.find(word) != std::string::npos; })) {
      return true;
    }
  }
  return false;
}

class LeftoversTest : public DriverTest {
 protected:
  std::string Found() const { return FaultlineIn(network_->server_netns()); }
  void Ip(const std::string& words) const {
    RunBatch({"ip", "-n", network_->server_netns()}, {words});
  }
  void Tc(const std::string& words) const {
    RunBatch({"tc", "-n", network_->server_netns()}, {words});
  }
};

class AttachedTest : public LeftoversTest, public testing::WithParamInterface<bpf::AttachMode> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    if (const Status has = bpf::RequireFeature("tcx"); IsTcx() && !has.ok()) {
      GTEST_SKIP() << ToString(has.message());
    }
    MakeDriver({.attach_mode = GetParam()});
  }
  static bool IsTcx() { return GetParam() == bpf::AttachMode::kTcx; }
  // Whether the program is named as one that is on that interface.
  static bool HasProgram(const std::string& found, const char* interface, const char* program) {
    if (IsTcx()) return HasLine(found, {fmt::format("{} tcx ", interface).c_str(), program});
    return HasLine(found, {"filter ", "direct-action", program});
  }
};

TEST_P(AttachedTest, ProgramsAreFoundOnATargetAndALaneWhileTheyAreThere) {
  ASSERT_EQ(Found(), "");
  SetTarget(ServerTarget());
  std::string found = Found();
  EXPECT_TRUE(HasProgram(found, "eth0", "fl_ingress")) << found;
  EXPECT_TRUE(HasProgram(found, "eth0", "fl_egress")) << found;
  EXPECT_THAT(found, Not(HasSubstr("fl-")));
  int no_bpftool = 0;
  RunAnyhow({"bpftool", "version"}, &no_bpftool);
  // It does not know TCX in every version.
  if (!IsTcx() && no_bpftool == 0) {
    EXPECT_TRUE(HasLine(found, {"eth0(", "fl_ingress"})) << found;
  }
  EXPECT_EQ(undo_.records().empty(), IsTcx());

  Arm(Latency(1000));
  found = Found();
  EXPECT_TRUE(HasLine(found, {"fl-lane", "UP"})) << found;
  EXPECT_TRUE(HasProgram(found, "fl-lane0", "fl_lane")) << found;
  driver_.reset();
  EXPECT_EQ(Found(), "");
  EXPECT_THAT(undo_.records(), IsEmpty());
}

TEST_P(AttachedTest, WhatThisProcessHasOpenIsFound) {
  SetTarget(ServerTarget());
  EXPECT_THAT(OpenBpf(), AllOf(HasSubstr("bpf-prog"), HasSubstr("bpf-map")));
  if (IsTcx()) {
    EXPECT_THAT(OpenBpf(), HasSubstr("bpf_link"));
  }
  driver_.reset();
  EXPECT_EQ(OpenBpf(), "");
}

INSTANTIATE_TEST_SUITE_P(Modes, AttachedTest,
                         testing::Values(bpf::AttachMode::kTcx, bpf::AttachMode::kClsact),
                         [](const auto& mode) {
                           return mode.param == bpf::AttachMode::kTcx ? "Tcx" : "Clsact";
                         });

using FqLeftoversTest = FqTest;

TEST_F(FqLeftoversTest, ThePairThatHoldsDelaysIsFound) {
  SetTarget(ServerTarget());
  Arm(UdpLatency(100));
  const std::string found = FaultlineIn(network_->server_netns());
  EXPECT_TRUE(HasLine(found, {kFqPair, "UP"})) << found;
  driver_.reset();
  EXPECT_EQ(FaultlineIn(network_->server_netns()), "");
}

TEST_F(LeftoversTest, AClsactQdiscWithoutAFilterIsFoundAndSomebodyElsesFilterIsNot) {
  Tc("qdisc add dev eth0 clsact");
  EXPECT_TRUE(HasLine(Found(), {"qdisc clsact", "dev eth0"})) << Found();
  Tc(fmt::format("filter add dev eth0 ingress prio 1 bpf bytecode '{}' flowid 1:1", kPassAll));
  EXPECT_EQ(Found(), "");
}

// No TCX goes on without its process; a clsact filter does.
TEST_F(LeftoversTest, WhatAKilledProcessHasLeftIsFoundUntilItsJournalIsUndone) {
  driver_.reset();
  ForkedDriver killed(undo_, [this] {
    MakeDriver({.attach_mode = bpf::AttachMode::kClsact});
    SetTarget(ServerTarget());
  });
  killed.Kill();
  EXPECT_TRUE(HasLine(Found(), {"filter ", "fl_ingress"})) << Found();
  EXPECT_TRUE(HasLine(Found(), {"filter ", "fl_egress"})) << Found();
  UndoAll(killed.journal());
  EXPECT_EQ(Found(), "");
}

TEST_F(LeftoversTest, ATestFailsForWhateverItLeaves) {
  Ip("link add fl-left type veth peer name other");
  EXPECT_NONFATAL_FAILURE(TearDown(), "fl-left");
  Ip("link del fl-left");
  {
    const bpf::UniqueFd map(
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "left", sizeof(__u32), sizeof(__u32), 1, nullptr));
    EXPECT_NONFATAL_FAILURE(TearDown(), "bpf-map");
  }
  const auto record = undo_.Record(bpf::kUndoClsact, {});
  ASSERT_TRUE(record.ok());
  EXPECT_NONFATAL_FAILURE(TearDown(), "records");
  undo_.Erase(*record);
  TearDown();
}

}  // namespace
}  // namespace faultline::netns_test
