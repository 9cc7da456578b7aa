#include "faults/network/answer.h"

#include <gtest/gtest.h>

#include <random>

#include "faults/network/datapath.h"
#include "faults/network/dns.h"
#include "faults/network/refuse.h"
#include "faults/network/reset.h"
#include "faults/network/test_frames.h"

namespace faultline::network {
namespace {

struct Shape {
  bool ipv6, options, vlan;
};

class AnswerTest : public testing::TestWithParam<Shape> {
 protected:
  static TestFrame Tcp(uint8_t flags, const std::string& payload = "") {
    const Shape shape = GetParam();
    return {.ipv6 = shape.ipv6,
            .tcp_flags = flags,
            .payload = payload,
            .options = shape.options,
            .vlan = shape.vlan};
  }
  static std::string First() { return GetParam().ipv6 ? "fd00::1" : "10.0.0.1"; }
  static std::string Second() { return GetParam().ipv6 ? "fd00::2" : "10.0.0.2"; }
  // A frame on its way on, or back to the sender.
  static void ExpectWay(const SeenFrame& seen, const Answer& answer, Way way) {
    const std::string a("\2\0\0\0\0\1", 6), b("\2\0\0\0\0\2", 6);
    const bool back = way == Way::kBack;
    EXPECT_EQ(answer.direction, back ? 1u : 0u);
    EXPECT_EQ(seen.tag, unsigned{FL_RETURN_TAG(5, answer.direction)});
    EXPECT_EQ(seen.macs, back ? a + b : b + a);
    EXPECT_EQ(seen.from, back ? Second() : First());
    EXPECT_EQ(seen.to, back ? First() : Second());
    EXPECT_EQ(seen.hop_limit, back ? 64u : 7u);
    EXPECT_EQ(seen.Field(0, 2), back ? 80u : TestFrame::kFromPort);
    EXPECT_EQ(seen.Field(2, 2), back ? TestFrame::kFromPort : 80u);
    EXPECT_EQ(seen.vlan, GetParam().vlan);
    EXPECT_EQ(seen.ipv6, GetParam().ipv6);
  }
};

TEST_P(AnswerTest, ASegmentIsResetOnBothEndsWithTheNumbersThatEachExpects) {
  const auto frame = Tcp(kTcpAck | kTcpPsh, "seven b").Build();
  const auto resets = ResetsFor(frame, FL_EGRESS);
  ASSERT_EQ(resets.size(), 2u);
  const SeenFrame onward = See(resets[0].frame), back = See(resets[1].frame);
  ExpectWay(onward, resets[0], Way::kOnward);
  ExpectWay(back, resets[1], Way::kBack);
  for (const SeenFrame& seen : {onward, back}) {
    EXPECT_EQ(seen.protocol, unsigned{IPPROTO_TCP});
    EXPECT_EQ(seen.transport.size(), 20u);
    EXPECT_EQ(seen.Field(12, 2), 0x5000u | kTcpRst | kTcpAck);
  }
  EXPECT_EQ(onward.Field(4, 4), TestFrame::kSequence);
  EXPECT_EQ(onward.Field(8, 4), TestFrame::kAcknowledged);
  EXPECT_EQ(back.Field(4, 4), TestFrame::kAcknowledged);
  EXPECT_EQ(back.Field(8, 4), TestFrame::kSequence + 7);
}

TEST_P(AnswerTest, AnOpeningIsRefusedToItsSenderOnly) {
  const auto frame = Tcp(kTcpSyn).Build();
  const auto resets = ResetsFor(frame, FL_EGRESS);
  ASSERT_EQ(resets.size(), 1u);
  const SeenFrame back = See(resets[0].frame);
  ExpectWay(back, resets[0], Way::kBack);
  EXPECT_EQ(back.Field(4, 4), 0u);
  EXPECT_EQ(back.Field(8, 4), TestFrame::kSequence + 1);
}

TEST_P(AnswerTest, AnIngressFrameIsAnsweredOnEgress) {
  auto frame = Tcp(kTcpAck | kTcpFin).Build();
  frame[sizeof(VnetHeader) + 15] = FL_RETURN_TAG(5, FL_INGRESS);
  const auto resets = ResetsFor(frame, FL_INGRESS);
  ASSERT_EQ(resets.size(), 2u);
  EXPECT_EQ(resets[0].direction, unsigned{FL_INGRESS});
  EXPECT_EQ(resets[1].direction, unsigned{FL_EGRESS});
  EXPECT_EQ(See(resets[0].frame).tag, unsigned{FL_RETURN_TAG(5, FL_INGRESS)});
  EXPECT_EQ(See(resets[1].frame).tag, unsigned{FL_RETURN_TAG(5, FL_EGRESS)});
  EXPECT_EQ(See(resets[1].frame).Field(8, 4), TestFrame::kSequence + 1);
}

TEST_P(AnswerTest, ResetsOtherProtocolsAndFramesCutShortAreNotReset) {
  EXPECT_TRUE(ResetsFor(Tcp(kTcpRst | kTcpAck).Build(), FL_EGRESS).empty());
  TestFrame udp = Tcp(0);
  udp.protocol = IPPROTO_UDP;
  EXPECT_TRUE(ResetsFor(udp.Build(), FL_EGRESS).empty());
  const auto whole = Tcp(kTcpAck).Build();
  for (size_t size = sizeof(VnetHeader) + 18; size + 3 < whole.size(); ++size) {
    EXPECT_TRUE(ResetsFor(std::span(whole).first(size), FL_EGRESS).empty()) << size;
  }
}

TEST_P(AnswerTest, AnUnreachablePeerIsToldByIcmpThatQuotesTheOpening) {
  const auto frame = Tcp(kTcpSyn).Build();
  const auto original = Original::Read(frame, FL_EGRESS);
  ASSERT_TRUE(original);
  const auto& transport = original->transport();
  for (const auto& [how, code4, code6] : {std::tuple(Refusal::kHostUnreachable, 1u, 3u),
                                          std::tuple(Refusal::kNetUnreachable, 0u, 0u)}) {
    const auto refusal = RefusalOf(how, frame, FL_EGRESS);
    ASSERT_EQ(refusal.size(), 1u);
    const SeenFrame seen = See(refusal[0].frame);
    EXPECT_EQ(refusal[0].direction, unsigned{FL_INGRESS});
    EXPECT_EQ(seen.from, Second());
    EXPECT_EQ(seen.to, First());
    EXPECT_EQ(seen.protocol, GetParam().ipv6 ? 58u : 1u);
    EXPECT_EQ(seen.Field(0, 2), GetParam().ipv6 ? 0x100 + code6 : 0x300 + code4);
    EXPECT_EQ(seen.Field(4, 4), 0u);
    const std::vector<uint8_t> quoted(seen.transport.begin() + 8, seen.transport.end());
    const auto whole =
        original->packet().subspan(transport.network_at, transport.end - transport.network_at);
    EXPECT_EQ(quoted, std::vector<uint8_t>(whole.begin(), whole.end()));
  }
}

TEST_P(AnswerTest, OnlyOpeningsAreRefused) {
  for (const auto how : {Refusal::kReset, Refusal::kHostUnreachable}) {
    EXPECT_TRUE(RefusalOf(how, Tcp(kTcpSyn | kTcpAck).Build(), FL_EGRESS).empty());
    EXPECT_TRUE(RefusalOf(how, Tcp(kTcpAck).Build(), FL_EGRESS).empty());
    EXPECT_EQ(RefusalOf(how, Tcp(kTcpSyn).Build(), FL_EGRESS).size(), 1u);
  }
}

TEST_P(AnswerTest, TimestampsComeBackExchanged) {
  TestFrame frame = Tcp(kTcpAck);
  const auto without = frame.Build();
  EXPECT_TRUE(TimestampsBack(*Original::Read(without, FL_EGRESS)).empty());
  frame.tcp_options = std::string("\1\1\x08\x0a\0\0\0\1\0\0\0\2", 12);
  const auto bytes = frame.Build();
  EXPECT_EQ(TimestampsBack(*Original::Read(bytes, FL_EGRESS)),
            (std::vector<uint8_t>{1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1}));
  // Cut short, and of no length.
  for (const char* wrong : {"\2\4\1\1\1\1\x08\x0a", "\x08\0\1\1"}) {
    frame.tcp_options = std::string(wrong, wrong[0] == 2 ? 8 : 4);
    const auto other = frame.Build();
    EXPECT_TRUE(TimestampsBack(*Original::Read(other, FL_EGRESS)).empty());
  }
}

TEST_P(AnswerTest, TenThousandBrokenFramesLeadNobodyAstray) {
  std::mt19937 random(7);
  const DnsAnswerer dns({"*"}, {.kind = DnsReply::Kind::kError, .error = 3});
  int answers = 0;
  for (int i = 0; i < 10'000; ++i) {
    auto frame = Tcp(i % 2 == 0 ? kTcpSyn : kTcpAck, std::string(i % 50, 'p')).Build();
    // Behind the return tag, which is the lane's own.
    constexpr size_t kFrom = sizeof(VnetHeader) + 16;
    for (unsigned flips = random() % 4; flips > 0; --flips) {
      frame[kFrom + random() % (frame.size() - kFrom)] = static_cast<uint8_t>(random());
    }
    const auto cut = std::span(frame).first(frame.size() - random() % 8);
    for (const auto& made : {ResetsFor(cut, FL_EGRESS).size(),
                             RefusalOf(Refusal::kNetUnreachable, cut, FL_EGRESS).size(),
                             dns.Ask(cut, FL_EGRESS).answers.size()}) {
      answers += static_cast<int>(made);
    }
  }
  EXPECT_GT(answers, 5'000);
}

INSTANTIATE_TEST_SUITE_P(Shapes, AnswerTest,
                         testing::Values(Shape{false, false, false}, Shape{false, true, true},
                                         Shape{true, false, false}, Shape{true, true, true}));

}  // namespace
}  // namespace faultline::network
