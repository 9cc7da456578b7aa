// Other people's programs at a target's interface: they go on to see every packet, and hide none
// from a fault that stands before them.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "bpf/netlink.h"
#include "bpf/probe.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint16_t kPort = 7001;
constexpr int kRequests = 20;
constexpr double kDelayMs = 60;
// How long an answer that should not come is waited for. One that should come has kPatience.
constexpr std::chrono::milliseconds kLost{150};

bpf_insn Instruction(int code, int to, int from, size_t offset, int value) {
  bpf_insn made{};
  made.code = static_cast<__u8>(code);
  made.dst_reg = static_cast<__u8>(to & 0xf);
  made.src_reg = static_cast<__u8>(from & 0xf);
  made.off = static_cast<__s16>(offset);
  made.imm = value;
  return made;
}

// Counts the packets that it sees of which the kernel says that, IPv4 unless named, and gives that
// verdict on all.
class Counting {
 public:
  explicit Counting(int verdict, size_t field = offsetof(__sk_buff, protocol),
                    int value = __builtin_bswap16(ETH_P_IP))
      : map_(bpf_map_create(BPF_MAP_TYPE_ARRAY, "others", sizeof(__u32), sizeof(uint64_t), 1,
                            nullptr)) {
    const std::array code = {
        Instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, field, 0),
        Instruction(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 4, value),
        Instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, map_.get()),
        Instruction(0, 0, 0, 0, 0),
        Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 1),
        Instruction(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_1, BPF_REG_2, 0, BPF_ADD),
        Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict),
        Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    program_ = bpf::UniqueFd(
        bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "others", "GPL", code.data(), code.size(), nullptr));
    EXPECT_TRUE(program_.valid()) << std::strerror(errno);
  }
  int program() const { return program_.get(); }
  uint64_t Seen() const {
    const __u32 first = 0;
    uint64_t seen = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map_.get(), &first, &seen), 0);
    return seen;
  }

 private:
  bpf::UniqueFd map_, program_;
};

class OthersTest : public DriverTest {
 protected:
  // Each request is late both ways, and comes back.
  void ExpectDelays() {
    EchoServer server(*network_, kPort);
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    auto latency = Latency(kDelayMs, ::network::v1::DIRECTION_BOTH);
    latency.mutable_filter()->set_protocol(::network::v1::PROTOCOL_UDP);
    Arm(latency);
    for (int i = 0; i < kRequests; ++i) {
      const auto took = client.RoundTrip();
      ASSERT_TRUE(took.has_value());
      EXPECT_GE(took->count(), 2 * kDelayMs);
    }
    EXPECT_EQ(SettledCounters().matched(), 2u * kRequests);
  }
};

TEST_F(OthersTest, WhatEndsTheChainBehindUsHidesNothingAndSeesEachPacketOnce) {
  if (const Status has = bpf::RequireFeature("tcx"); !has.ok()) GTEST_SKIP() << has.message();
  constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
  constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
  constexpr int kPass = 0;  // TCX_PASS: none of the others behind it is asked
  const Counting in(kPass), out(kPass);
  bpf::UniqueFd in_link, out_link;
  network_->InServer([&] {
    const int ifindex = bpf::FindInterface(Network::kInterface)->index;
    in_link = bpf::UniqueFd(bpf_link_create(in.program(), ifindex, kTcxIngress, nullptr));
    out_link = bpf::UniqueFd(bpf_link_create(out.program(), ifindex, kTcxEgress, nullptr));
  });
  ASSERT_TRUE(in_link.valid() && out_link.valid()) << std::strerror(errno);
  SetTarget(ServerTarget());
  ExpectDelays();
  EXPECT_EQ(in.Seen(), uint64_t{kRequests});
  EXPECT_EQ(out.Seen(), uint64_t{kRequests});
  EXPECT_THAT(driver_->Warnings(), IsEmpty());
}

TEST_F(OthersTest, AFilterThatPassesOnGoesOnToSeePacketsAsTheFaultDoes) {
  MakeDriver({.attach_mode = bpf::AttachMode::kClsact});
  constexpr int kUnspec = -1;  // TC_ACT_UNSPEC: the next filter is asked
  const Counting in(kUnspec), out(kUnspec);
  network_->InServer([&] {
    const int ifindex = bpf::FindInterface(Network::kInterface)->index;
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
                .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
    ASSERT_EQ(bpf_tc_hook_create(&hook), 0);
    for (const auto& [program, at] :
         {std::pair(in.program(), BPF_TC_INGRESS), std::pair(out.program(), BPF_TC_EGRESS)}) {
      hook.attach_point = at;
      LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program, .handle = 1, .priority = 1);
      ASSERT_EQ(bpf_tc_attach(&hook, &options), 0);
    }
  });
  SetTarget(ServerTarget());
  ExpectDelays();
  EXPECT_THAT(
      driver_->Warnings(),
      ElementsAre(ContainsRegex(
          "^t: on interface 'eth0' in netns '.*\\(bpf filter others:\\[[0-9]+\\] of priority "
          "1 on ingress, bpf filter others:\\[[0-9]+\\] of priority 1 on egress\\): ")));
  // Before ours: once on its way to the lane, and once when it comes back.
  EXPECT_EQ(in.Seen(), 2u * kRequests);
  EXPECT_EQ(out.Seen(), 2u * kRequests);
}

class LanesOthersTest : public OthersTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { SetUpWithLane(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Lanes, LanesOthersTest, testing::Values("tap", "fq"),
                         [](const auto& lane) { return std::string(lane.param); });

// What a queueing discipline goes by.
TEST_P(LanesOthersTest, AHeldPacketHasNoPriorityAndItsMarkOnlyFromFq) {
  if (const Status has = bpf::RequireFeature("tcx"); !has.ok()) GTEST_SKIP() << has.message();
  constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
  constexpr int kNext = -1, kMark = 7, kPriority = 5;
  const Counting marked(kNext, offsetof(__sk_buff, mark), kMark);
  const Counting prior(kNext, offsetof(__sk_buff, priority), kPriority);
  bpf::UniqueFd marked_link, prior_link;
  network_->InClient([&] {
    const int ifindex = bpf::FindInterface(Network::kInterface)->index;
    marked_link = bpf::UniqueFd(bpf_link_create(marked.program(), ifindex, kTcxEgress, nullptr));
    prior_link = bpf::UniqueFd(bpf_link_create(prior.program(), ifindex, kTcxEgress, nullptr));
  });
  ASSERT_TRUE(marked_link.valid() && prior_link.valid()) << std::strerror(errno);
  EchoServer server(*network_, kPort);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  ASSERT_EQ(setsockopt(client.fd(), SOL_SOCKET, SO_MARK, &kMark, sizeof(kMark)), 0);
  ASSERT_EQ(setsockopt(client.fd(), SOL_SOCKET, SO_PRIORITY, &kPriority, sizeof(kPriority)), 0);
  SetTarget(ClientTarget());
  ASSERT_TRUE(client.RoundTrip().has_value());
  EXPECT_EQ(marked.Seen(), 1u);
  EXPECT_EQ(prior.Seen(), 1u);
  auto latency = Latency(kDelayMs);
  latency.mutable_filter()->set_protocol(::network::v1::PROTOCOL_UDP);
  Arm(latency);
  ASSERT_TRUE(client.RoundTrip().has_value());
  EXPECT_EQ(SettledCounters().delays_measured(), 1u);
  EXPECT_EQ(marked.Seen(), GetParam() == std::string("fq") ? 2u : 1u);
  EXPECT_EQ(prior.Seen(), 1u);
}

// Filters come and go: each look finds out anew.
TEST_F(OthersTest, AFilterThatIsPutBeforeOursHidesPacketsAndIsToldWhileItIsThere) {
  MakeDriver({.attach_mode = bpf::AttachMode::kClsact});
  const auto filter = [this](const char* what, std::vector<std::string> where) {
    std::vector<std::string> command = {"tc", "-n",  network_->server_netns(), "filter",
                                        what, "dev", Network::kInterface};
    std::ranges::move(where, std::back_inserter(command));
    if (what == std::string("add")) {
      for (const char* word : {"bytecode", kPassAll, "flowid", "1:1"}) command.emplace_back(word);
    }
    RunProgram(command);
  };
  EchoServer server(*network_, kPort);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  SetTarget(ServerTarget());
  EXPECT_THAT(driver_->Warnings(), IsEmpty());
  filter("add", {"ingress", "prio", "77", "bpf"});
  filter("add", {"ingress", "chain", "5", "prio", "1", "bpf"});
  EXPECT_THAT(driver_->Warnings(), IsEmpty()) << "neither is asked before ours";
  Arm(Loss(100));
  EXPECT_FALSE(client.RoundTrip(kLost).has_value());
  // Of one priority the newest is asked first.
  const std::vector<std::string> before = {"egress", "prio", "1", "handle", "2", "bpf"};
  filter("add", before);
  EXPECT_THAT(driver_->Warnings(), ElementsAre(HasSubstr("(bpf filter of priority 1 on egress)")));
  EXPECT_TRUE(client.RoundTrip().has_value());
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key())) << "a warning only";
  EXPECT_TRUE(driver_->SetTargets({ServerTarget()})[0].ok());
  filter("del", before);
  EXPECT_THAT(driver_->Warnings(), IsEmpty());
  EXPECT_FALSE(client.RoundTrip(kLost).has_value());
}

}  // namespace
}  // namespace faultline::netns_test
