// What this kernel can do, and by which way. What a test finds out it also leaves as a property of
// its report ("feature.tcx", "kind.NETWORK_LATENCY", "way.udp_segments"): empty means natively, a
// sentence says why not; "fallback.tcx" then means that something else does the work.
// docs/kernels.md is made of these.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "base/log_testing.h"
#include "bpf/probe.h"
#include "bpf/verifier_log.h"
#include "chaos/v1/options.pb.h"
#include "faults/network/datapath.h"
#include "faults/network/tap.h"
#include "faults/registry.h"
#include "netns/traffic.h"

// clang-format off
#include "datapath.skel.h"  // needs the types of datapath.h
// clang-format on

namespace faultline::netns_test {
namespace {

constexpr uint16_t kPort = 7001;

// A sentence for people: words, and no line end.
bool IsSentence(const std::string& text) {
  return text.find(' ') != std::string::npos && text.find('\n') == std::string::npos;
}

TEST(KernelTest, WhatIsMissingIsToldInASentence) {
  for (const bpf::Feature& feature : bpf::KernelFeatures()) {
    EXPECT_TRUE(feature.available || IsSentence(feature.reason)) << feature.reason;
    RecordProperty("feature." + feature.name, feature.reason);
    if (!feature.available && feature.has_fallback)
      RecordProperty("fallback." + feature.name, "yes");
  }
}

TEST(KernelTest, AFaultKindNeedsOnlyFeaturesThatTheProbeKnows) {
  const auto& features = bpf::KernelFeatures();
  for (const faults::Group& group : faults::Groups()) {
    for (const faults::Kind& kind : group.kinds) {
      const auto& option = kind.descriptor()->options().GetExtension(chaos::v1::fault_kind);
      std::string refused;
      for (const std::string& name : option.capabilities()) {
        const auto known = std::find_if(features.begin(), features.end(),
                                        [&](const bpf::Feature& f) { return f.name == name; });
        ASSERT_NE(known, features.end()) << option.name() << " needs " << name;
        if (refused.empty()) refused = known->reason;
      }
      RecordProperty("kind." + option.name(), refused);
    }
  }
}

// As on a kernel without BTF: nothing lies where it would. Ends the process.
void ProbeWithoutBtf() {
  const bool hidden = unshare(CLONE_NEWNS) == 0 &&
                      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                      mount("none", "/sys/kernel/btf", "tmpfs", 0, nullptr) == 0;
  if (!hidden) std::perror("hiding the kernel's BTF");
  for (const bpf::Feature& feature : bpf::KernelFeatures()) {
    std::fprintf(stderr, "%s: %s\n", feature.name.c_str(), feature.reason.c_str());
  }
  std::_Exit(hidden ? 0 : 1);
}

TEST(KernelDeathTest, AKernelWithoutBtfIsToldOfAndTheRestIsAskedAllTheSame) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can hide the kernel's BTF";
  // In a process of its own, which has not asked yet.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(ProbeWithoutBtf(), testing::ExitedWithCode(0),
              "btf: the kernel has no BTF(.|\n)*drop_reasons: (.|\n)*drop_sockets: ");
}

// Asked of a device of this test's own, gone when it returns.
bool TapTakesUdpTrains() {
  const bpf::UniqueFd tap(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
  std::strncpy(request.ifr_name, "fl-uso%d", IFNAMSIZ - 1);
  EXPECT_EQ(ioctl(tap.get(), TUNSETIFF, &request), 0) << std::strerror(errno);
  return ioctl(tap.get(), TUNSETOFFLOAD,
               TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | network::kUdpTrainOffloads) == 0;
}

class SegmentsTest : public DriverTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { SetUpWithLane(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Lanes, SegmentsTest, testing::Values("tap", "fq"),
                         [](const auto& lane) { return std::string(lane.param); });

TEST_P(SegmentsTest, ADatagramTrainForTheNetworkCardToCutArrivesWholeAndLate) {
  constexpr int kSegments = 10, kSegmentBytes = 1000;
  constexpr double kDelayMs = 300;
  EchoServer server(*network_, kPort);
  SetTarget(ClientTarget());
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  ASSERT_TRUE(client.RoundTrip().has_value());
  Arm(Latency(kDelayMs));
  const int bytes = kSegmentBytes;
  ASSERT_EQ(setsockopt(client.fd(), IPPROTO_UDP, UDP_SEGMENT, &bytes, sizeof(bytes)), 0);
  std::string train(size_t{kSegments} * kSegmentBytes, '\0');
  for (size_t i = 0; i < train.size(); ++i) train[i] = static_cast<char>(i / kSegmentBytes + i % 7);
  const auto began = std::chrono::steady_clock::now();
  client.Send(train);
  EXPECT_EQ(client.Receive(train.size()), train);
  EXPECT_GE(Milliseconds(std::chrono::steady_clock::now() - began).count(), kDelayMs);
  const auto counters = Counters();
  EXPECT_EQ(counters.lane_dropped(), 0u);
  if (GetParam() != std::string("tap")) return;
  const bool whole = TapTakesUdpTrains();
  EXPECT_EQ(counters.delays_measured(), whole ? 1u : uint64_t{kSegments});
  if (!whole) RecordProperty("fallback.udp_segments", "yes");
  RecordProperty("way.udp_segments",
                 whole ? ""
                       : "TAP devices have no USO (it came with 6.2): the train is cut "
                         "before the lane holds it");
}

class VerifierTest : public DriverTest {};

// Ids of the programs that the kernel has.
std::set<uint32_t> Programs() {
  std::set<uint32_t> ids;
  for (uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;) ids.insert(id);
  return ids;
}

// It walks a million instructions of a program and its functions, then refuses it. Kernels differ
// by factors in how many they walk of the same program.
TEST_F(VerifierTest, WalksLessThanHalfOfWhatItMayOfEachProgram) {
  constexpr uint32_t kMost = 500'000;
  driver_.reset();
  const std::set<uint32_t> of_others = Programs();
  MakeDriver();
  SetTarget(ServerTarget());
  std::set<std::string> seen;
  for (const uint32_t id : Programs()) {
    const bpf::UniqueFd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    uint32_t size = sizeof(info);
    if (of_others.contains(id) || !program.valid() ||
        bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) {
      continue;
    }
    seen.insert(info.name);
    EXPECT_LT(info.verified_insns, kMost) << info.name;
    EXPECT_GT(info.verified_insns, 0u) << info.name;
    RecordProperty(fmt::format("walked.{}", info.name), static_cast<int>(info.verified_insns));
  }
  EXPECT_THAT(seen, testing::IsSupersetOf({"fl_handle", "fl_lane"}));
  if (bpf::HasFeature("drop_reasons")) {
    EXPECT_THAT(seen, testing::IsSupersetOf({"fl_drop", "fl_failed"}));
  }
}

// As a socket's filter, the lane's program is refused: it sends packets elsewhere.
TEST(VerifierLogTest, WhatTheVerifierSaidLastIsInTheLog) {
  if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
  const std::unique_ptr<datapath, void (*)(datapath*)> skeleton(datapath__open(),
                                                                datapath__destroy);
  ASSERT_NE(skeleton, nullptr);
  for (bpf_program* program : {skeleton->progs.fl_handle, skeleton->progs.fl_fq_out})
    bpf_program__set_autoload(program, false);
  bpf_program__set_type(skeleton->progs.fl_lane, BPF_PROG_TYPE_SOCKET_FILTER);
  const bpf::VerifierLog log(skeleton->obj);
  Status refused;
  const std::string said = Logged("text", [&] {
    const int error = -datapath__load(skeleton.get());
    EXPECT_GT(error, 0);
    refused = log.Refused("the network programs", error);
  });
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), testing::StartsWith("the kernel refused the network programs: "));
  EXPECT_THAT(said, testing::HasSubstr("the kernel's verifier on fl_lane: ..."));
  EXPECT_THAT(said, testing::HasSubstr("\nprocessed "));
}

}  // namespace
}  // namespace faultline::netns_test
