// Packets with a VLAN tag within a VLAN tag: the kernel keeps the outer one beside the frame, and
// leaves the inner one in it.
#include <bpf/bpf.h>
#include <linux/pkt_cls.h>

#include <vector>

#include "faults/network/kernel.h"
#include "faults/network/tables.h"
#include "faults/network/test_frames.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

namespace pb = ::network::v1;
using network::TestFrame;

constexpr uint16_t kPort = 7001;

// The programs themselves, by BPF_PROG_TEST_RUN: what goes to kPort is lost.
class TaggedFrameTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
    auto kernel = network::Kernel::Load();
    ASSERT_TRUE(kernel.ok()) << kernel.status();
    kernel_ = *std::move(kernel);
    auto programs = kernel_->LoadHook(0);
    ASSERT_TRUE(programs.ok()) << programs.status();
    programs_ = *std::move(programs);
    tables_ = std::make_unique<network::Tables>(
        kernel_->tables(), kernel_->map_fd("fl_prefixes"), kernel_->map_fd("fl_cgroups"),
        [this](unsigned chunk) { return kernel_->AddSets(chunk); });
    kernel_->lease()->heartbeat_until_ns = kernel_->lease()->control_until_ns = UINT64_MAX;
    fl_rule rule{};
    rule.deadline_ns = UINT64_MAX;
    rule.action = FL_ACT_LOSE;
    rule.choice.chance_of_2_32 = FL_ALWAYS;
    tables_->rule(0) = rule;
    network::Filter filter;
    filter.egress = true;
    filter.ports[FL_PEER] = {{kPort, kPort}};
    ASSERT_TRUE(tables_->Set(network::RuleBit(0), filter).ok());
  }

  // Whether the frame is lost; TestFrame's has one tag in it, and two with `vlan`.
  bool IsLost(const TestFrame& described) {
    const std::vector<uint8_t> built = described.Build();
    const std::vector<uint8_t> frame(built.begin() + sizeof(network::VnetHeader), built.end());
    std::vector<uint8_t> out(frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(frame.size()),
                .data_size_out = static_cast<__u32>(out.size()));
    EXPECT_EQ(bpf_prog_test_run_opts(programs_.egress.get(), &options), 0);
    return static_cast<int>(options.retval) == TC_ACT_REDIRECT;
  }

  std::unique_ptr<network::Kernel> kernel_;
  network::HookPrograms programs_;
  std::unique_ptr<network::Tables> tables_;
};

TEST_F(TaggedFrameTest, IsWhatStandsBehindTheTag) {
  for (const bool ipv6 : {false, true}) {
    for (const uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
      for (const bool options : {false, true}) {
        TestFrame frame{.ipv6 = ipv6, .protocol = protocol, .to_port = kPort, .options = options};
        EXPECT_TRUE(IsLost(frame)) << ipv6 << int{protocol} << options;
        frame.to_port = kPort + 1;
        EXPECT_FALSE(IsLost(frame)) << ipv6 << int{protocol} << options;
      }
    }
  }
}

TEST_F(TaggedFrameTest, IsFoundByThePayloadsFirstBytes) {
  constexpr char kFirst[] = "GET /api";
  fl_narrow& narrow = tables_->rule(0).narrow;
  narrow.first_bytes = narrow.min_payload = sizeof(kFirst) - 1;
  std::copy_n(kFirst, narrow.first_bytes, narrow.first);
  TestFrame frame{.to_port = kPort, .payload = "GET /api/orders HTTP/1.1"};
  EXPECT_TRUE(IsLost(frame));
  frame.payload = "GET /orders HTTP/1.1";
  EXPECT_FALSE(IsLost(frame));
}

TEST_F(TaggedFrameTest, WithOneTagMoreIsMeantByNoFilter) {
  EXPECT_FALSE(IsLost({.to_port = kPort, .vlan = true}));
}

class QinqTest : public DriverTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { SetUpWithLane(GetParam()); }

  // A VLAN device over a VLAN device, with that address. False where the kernel has none.
  bool AddVlans(const std::string& netns, const std::string& address) {
    int exit_code = 0;
    RunAnyhow(
        {"ip", "-n", netns, "link", "add", "link", "eth0", "name", "v7", "type", "vlan", "id", "7"},
        &exit_code);
    if (exit_code != 0) return false;
    RunBatch({"ip", "-n", netns},
             {"link add link v7 name v9 type vlan id 9", "addr add " + address + " dev v9",
              "link set v7 up", "link set v9 up"});
    return true;
  }
};
INSTANTIATE_TEST_SUITE_P(Lanes, QinqTest, testing::Values("tap", "fq"),
                         [](const auto& lane) { return std::string(lane.param); });

TEST_P(QinqTest, PacketsWithTwoTagsAreHeldAndKeepBoth) {
  if (!AddVlans(network_->server_netns(), "10.210.0.2/24") ||
      !AddVlans(network_->client_netns(), "10.210.0.1/24")) {
    GTEST_SKIP() << "the kernel has no VLAN devices";
  }
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(300, pb::DIRECTION_BOTH));
  for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
    Client client(*network_, protocol, "10.210.0.2", kPort);
    const auto time = client.RoundTrip();
    ASSERT_TRUE(time.has_value());
    EXPECT_GE(time->count(), 600);
  }
  EXPECT_EQ(Counters().lane_dropped(), 0u);
}

}  // namespace
}  // namespace faultline::netns_test
