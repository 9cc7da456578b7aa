// Frames of every odd shape through the programs themselves (BPF_PROG_TEST_RUN): none harms them,
// no packet that a fault is meant for gets past, none that it is not meant for is touched. What is
// a packet is told by its IP header alone, what it carries by the lane's parser, which shares
// nothing with the programs'.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include <cerrno>
#include <random>

#include "faults/network/kernel.h"
#include "faults/network/tables.h"
#include "faults/network/transport.h"

namespace faultline::network {
namespace {

using Frame = std::vector<uint8_t>;

constexpr int kFrames = 10'000;
constexpr uint16_t kPort = 7001;
constexpr size_t kEthertypeAt = 12, kNetworkAt = 14, kIpv4Bytes = 20, kIpv6Bytes = 40;

class Frames {
 public:
  explicit Frames(uint64_t seed) : random_(seed) {}

  Frame Next() {
    frame_.assign(kNetworkAt, 2);
    const bool ipv6 = Chance(0.5);
    Put16(kEthertypeAt, ipv6 ? 0x86dd : 0x0800);
    ipv6 ? AddIpv6() : AddIpv4();
    if (Chance(0.4)) {
      for (size_t i = Below(4) + 1; i > 0; --i) {
        const size_t at = kNetworkAt + Below(frame_.size() - kNetworkAt);
        frame_[at] = static_cast<uint8_t>(Below(256));
      }
    }
    if (Chance(0.2)) frame_.resize(kNetworkAt + Below(frame_.size() - kNetworkAt) + 1);
    if (Chance(0.1)) frame_.resize(frame_.size() + Below(2'000));
    return frame_;
  }

 private:
  size_t Below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }
  bool Chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
  uint8_t OneOf(const std::vector<uint8_t>& choices) { return choices[Below(choices.size())]; }

  void Put16(size_t at, size_t value) {
    frame_[at] = static_cast<uint8_t>(value >> 8);
    frame_[at + 1] = static_cast<uint8_t>(value);
  }
  void AddRandom(size_t bytes) {
    for (; bytes > 0; --bytes) frame_.push_back(static_cast<uint8_t>(Below(256)));
  }

  uint8_t Protocol() {
    return OneOf({IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6,
                  IPPROTO_SCTP, 4});
  }

  void AddIpv4() {
    const size_t words = Chance(0.3) ? 5 + Below(11) : 5;
    const uint8_t protocol = Protocol();
    AddRandom(words * 4);
    frame_[kNetworkAt] = static_cast<uint8_t>(0x40 | words);
    const size_t fragment = Below(6);  // 0: the first of several, 1: a later one
    Put16(kNetworkAt + 6, fragment == 0 ? 0x2000 : fragment == 1 ? 1 + Below(0x1fff) : 0x4000);
    frame_[kNetworkAt + 9] = protocol;
    AddTransport(protocol);
    Put16(kNetworkAt + 2, Chance(0.02) ? 0 : frame_.size() - kNetworkAt);
  }

  void AddIpv6() {
    AddRandom(kIpv6Bytes);
    frame_[kNetworkAt] = 0x60;
    size_t next_at = kNetworkAt + 6;
    for (size_t more = Chance(0.5) ? Below(10) : 0; more > 0; --more) {
      const uint8_t kind =
          OneOf({IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH, IPPROTO_FRAGMENT});
      const size_t eights = kind == IPPROTO_FRAGMENT ? 0 : Below(4);
      frame_[next_at] = kind;
      next_at = frame_.size();
      AddRandom(8 + eights * 8);
      frame_[next_at + 1] = static_cast<uint8_t>(kind == IPPROTO_AH ? 2 * eights : eights);
      if (kind == IPPROTO_FRAGMENT) Put16(next_at + 2, Chance(0.5) ? 1 : Below(0x2000) << 3 | 1);
    }
    const uint8_t protocol = Protocol();
    frame_[next_at] = protocol;
    AddTransport(protocol);
    Put16(kNetworkAt + 4, Chance(0.02) ? 0 : frame_.size() - kNetworkAt - kIpv6Bytes);
  }

  void AddTransport(uint8_t protocol) {
    const size_t at = frame_.size();
    const size_t words = protocol == IPPROTO_TCP ? 5 + Below(11) : 2;
    AddRandom(words * 4);
    if (Chance(0.5)) Put16(at, kPort);
    if (Chance(0.5)) Put16(at + 2, kPort);
    if (protocol == IPPROTO_TCP) frame_[at + 12] = static_cast<uint8_t>(words << 4);
    AddRandom(Below(200));
  }

  std::mt19937_64 random_;
  Frame frame_;
};

std::string Hex(const Frame& frame) {
  std::string text;
  for (const uint8_t byte : frame) text += fmt::format("{:02x}", byte);
  return text;
}

class FuzzTest : public testing::Test {
 protected:
  void SetUp() override {
    auto kernel = Kernel::Load();
    ASSERT_TRUE(kernel.ok()) << kernel.status();
    kernel_ = *std::move(kernel);
    auto programs = kernel_->LoadHook(0);
    ASSERT_TRUE(programs.ok()) << programs.status();
    programs_ = *std::move(programs);
    tables_ = std::make_unique<Tables>(kernel_->tables(), kernel_->map_fd("fl_prefixes"),
                                       kernel_->map_fd("fl_cgroups"),
                                       [this](unsigned chunk) { return kernel_->AddSets(chunk); });
    kernel_->lease()->heartbeat_until_ns = kernel_->lease()->control_until_ns = UINT64_MAX;
    // Measured as well, by a target that everything is of.
    Filter all;
    all.egress = all.ingress = true;
    ASSERT_TRUE(tables_->Set(TargetBit(0), all).ok());
  }

  // From then on all that the filter matches is lost, protected or not, and nothing else.
  void Lose(Filter filter) {
    tables_->Clear(RuleBit(0));
    filter.egress = filter.ingress = true;
    fl_rule rule{};
    rule.deadline_ns = UINT64_MAX;
    rule.action = FL_ACT_LOSE;
    rule.choice.chance_of_2_32 = FL_ALWAYS;
    rule.exposes = 1;
    tables_->rule(0) = rule;
    ASSERT_TRUE(tables_->Set(RuleBit(0), filter).ok());
  }

  // Whether the frame is lost.
  bool Run(const Frame& frame, unsigned direction) {
    Frame out(frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(frame.size()),
                .data_size_out = static_cast<__u32>(out.size()));
    const int fd = direction == FL_EGRESS ? programs_.egress.get() : programs_.ingress.get();
    const int error = bpf_prog_test_run_opts(fd, &options);
    // Newer kernels try nothing that has not a whole IP header.
    if (error == -EINVAL && frame.size() < kNetworkAt + kIpv6Bytes) return false;
    EXPECT_EQ(error, 0) << Hex(frame);
    const auto verdict = static_cast<int>(options.retval);
    EXPECT_TRUE(verdict == TC_ACT_UNSPEC || verdict == TC_ACT_REDIRECT) << Hex(frame);
    lost_ += verdict == TC_ACT_REDIRECT ? 1 : 0;
    return verdict == TC_ACT_REDIRECT;
  }

  std::unique_ptr<Kernel> kernel_;
  HookPrograms programs_;
  std::unique_ptr<Tables> tables_;
  uint64_t lost_ = 0;
};

// The kernel takes a tag off before any program sees it: frames have none here.
bool IsIp(const Frame& frame) {
  const unsigned ethertype = frame[kEthertypeAt] << 8u | frame[kEthertypeAt + 1];
  if (ethertype == 0x86dd) return frame.size() >= kNetworkAt + kIpv6Bytes;
  return ethertype == 0x0800 && frame.size() >= kNetworkAt + kIpv4Bytes &&
         (frame[kNetworkAt] & 0x0fu) * 4 >= kIpv4Bytes;
}

// Whether it is a packet for kPort, as far as that is looked for, if it is one at all.
std::optional<bool> IsMeant(const Frame& frame, unsigned direction) {
  if (!IsIp(frame)) return std::nullopt;
  const auto found = FindTransport(frame);
  if (!found.has_value()) return std::nullopt;
  const bool has_ports = found->protocol == IPPROTO_TCP || found->protocol == IPPROTO_UDP;
  if (!has_ports || found->payload_at == found->header_at) return false;
  if (found->header_at > FL_HEADER_BYTES) return false;
  const size_t at = found->header_at + (direction == FL_EGRESS ? 0 : 2);
  return (frame[at] << 8u | frame[at + 1]) == kPort;
}

TEST_F(FuzzTest, NoPacketGetsPastAFaultThatHasNoFilter) {
  Lose({});
  Frames frames(11);
  int packets = 0;
  for (int i = 0; i < kFrames; ++i) {
    const Frame frame = frames.Next();
    const bool is_packet = IsIp(frame);
    packets += is_packet ? 1 : 0;
    for (const unsigned direction : {FL_EGRESS, FL_INGRESS}) {
      const bool lost = Run(frame, direction);
      ASSERT_EQ(lost, is_packet) << "frame " << i << ": " << Hex(frame);
    }
  }
  EXPECT_GT(packets, kFrames / 2);
  EXPECT_EQ(kernel_->counters(0).matched, lost_);
  uint64_t counted = 0;
  for (unsigned part = 0; part < FL_TRAFFIC_PARTS; ++part) {
    counted += kernel_->traffic(0, part).packets;
  }
  EXPECT_GE(counted, lost_);
}

// A packet from kPort to kPort that ends so many bytes into what follows its IP header.
Frame CutShort(bool ipv6, uint8_t protocol, size_t bytes) {
  const size_t header = kNetworkAt + (ipv6 ? kIpv6Bytes : kIpv4Bytes);
  Frame frame(header + 4, 0);
  frame[kEthertypeAt] = ipv6 ? 0x86 : 0x08;
  frame[kEthertypeAt + 1] = ipv6 ? 0xdd : 0x00;
  frame[kNetworkAt] = ipv6 ? 0x60 : 0x45;
  frame[kNetworkAt + (ipv6 ? 6 : 9)] = protocol;
  frame[kNetworkAt + (ipv6 ? 5 : 3)] = static_cast<uint8_t>(bytes + (ipv6 ? 0 : kIpv4Bytes));
  for (const size_t at : {header, header + 2}) {
    frame[at] = kPort >> 8;
    frame[at + 1] = kPort & 0xff;
  }
  frame.resize(header + bytes);
  return frame;
}

TEST_F(FuzzTest, WhatEndsWithinItsTransportHeaderIsHitByItsProtocolAndByNoPort) {
  struct Case {
    uint8_t number;
    unsigned protocol;  // FL_PROTO_
    size_t header_bytes;
  };
  const Case cases[] = {{IPPROTO_TCP, FL_PROTO_TCP, 20},
                        {IPPROTO_UDP, FL_PROTO_UDP, 8},
                        {IPPROTO_DSTOPTS, FL_PROTO_OTHER, 8}};
  for (const auto& [number, protocol, header_bytes] : cases) {
    Filter by_protocol, by_other_protocol, by_port;
    by_protocol.protocols = {protocol};
    by_other_protocol.protocols = {FL_PROTO_ICMP};
    by_port.ports[FL_PEER] = {{kPort, kPort}};
    const std::pair<Filter, bool> filters[] = {
        {{}, true}, {by_protocol, true}, {by_other_protocol, false}, {by_port, false}};
    for (const auto& [filter, is_hit] : filters) {
      Lose(filter);
      for (const bool ipv6 : {false, true}) {
        if (!ipv6 && number == IPPROTO_DSTOPTS) continue;  // an extension header, of IPv6 only
        for (size_t bytes = 0; bytes < header_bytes; ++bytes) {
          const Frame frame = CutShort(ipv6, number, bytes);
          EXPECT_EQ(Run(frame, FL_EGRESS), is_hit) << Hex(frame);
          EXPECT_EQ(Run(frame, FL_INGRESS), is_hit) << Hex(frame);
        }
      }
    }
  }
}

TEST_F(FuzzTest, ThePortsThatAreMeantAreHitAndNoOthers) {
  Filter filter;
  filter.protocols = {FL_PROTO_TCP, FL_PROTO_UDP};
  filter.ports[FL_LOCAL] = {{kPort, kPort}};
  Lose(filter);
  Frames frames(12);
  int meant_frames = 0;
  for (int i = 0; i < kFrames; ++i) {
    const Frame frame = frames.Next();
    for (const unsigned direction : {FL_EGRESS, FL_INGRESS}) {
      const bool lost = Run(frame, direction);
      const std::optional<bool> meant = IsMeant(frame, direction);
      if (!meant) continue;
      meant_frames += *meant ? 1 : 0;
      ASSERT_EQ(lost, *meant) << "frame " << i << ", direction " << direction << ": " << Hex(frame);
    }
  }
  EXPECT_GT(meant_frames, kFrames / 5);
  EXPECT_EQ(kernel_->counters(0).matched, lost_);
}

}  // namespace
}  // namespace faultline::network
