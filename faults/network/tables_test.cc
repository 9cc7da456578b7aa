#include "faults/network/tables.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>

namespace faultline::network {
namespace {

// The bits of ports alone; filters with networks or cgroups need the kernel.
class TablesTest : public testing::Test {
 protected:
  static Filter PortFilter(std::vector<PortRange> ranges) {
    Filter filter;
    filter.egress = true;
    filter.ports[FL_PEER] = std::move(ranges);
    return filter;
  }

  const fl_bits& SetOf(uint16_t port) const {
    static const fl_bits none{};
    const unsigned number = memory_->port_set[FL_PEER][port];
    return number == 0 ? none : chunks_[number / FL_SETS_PER_CHUNK][number % FL_SETS_PER_CHUNK];
  }
  // The first word of the rules that name the port.
  uint64_t RulesOf(uint16_t port) const { return SetOf(port).word[FL_TARGET_WORDS]; }

  std::unique_ptr<fl_tables> memory_ = std::make_unique<fl_tables>();
  std::vector<std::unique_ptr<fl_bits[]>> chunks_;
  Tables tables_{memory_.get(), -1, -1, [this](unsigned) -> StatusOr<fl_bits*> {
                   chunks_.push_back(std::make_unique<fl_bits[]>(FL_SETS_PER_CHUNK));
                   return chunks_.back().get();
                 }};
};

TEST(SolePeer, IsWhatAPacketsAddressIsComparedWith) {
  const auto words = [](const char* text) {
    const fl_sole_peer sole = SolePeer(*ParseCidr(text));
    const auto hex = [](const __u32* four) {
      return fmt::format("{:08x}", fmt::join(std::array{ntohl(four[0]), ntohl(four[1]),
                                                        ntohl(four[2]), ntohl(four[3])},
                                             " "));
    };
    return fmt::format("{}: {} / {}", sole.family, hex(sole.address), hex(sole.mask));
  };
  EXPECT_EQ(words("10.29.3.4/13"),
            "1: 00000000 00000000 00000000 0a180000 / 00000000 00000000 00000000 fff80000");
  EXPECT_EQ(words("10.0.0.9"),
            "1: 00000000 00000000 00000000 0a000009 / 00000000 00000000 00000000 ffffffff");
  EXPECT_EQ(words("0.0.0.0/0"),
            "1: 00000000 00000000 00000000 00000000 / 00000000 00000000 00000000 00000000");
  EXPECT_EQ(words("::ffff:10.29.3.4/109"), words("10.29.3.4/13"));
  EXPECT_EQ(words("2001:db8:ffff::/35"),
            "2: 20010db8 e0000000 00000000 00000000 / ffffffff e0000000 00000000 00000000");
}

TEST_F(TablesTest, ARangeHoldsBothItsEndsAndNothingBeyond) {
  ASSERT_TRUE(tables_.Set(RuleBit(0), PortFilter({{8000, 8100}})).ok());
  EXPECT_EQ(RulesOf(7999), 0u);
  EXPECT_EQ(RulesOf(8000), 1u);
  EXPECT_EQ(RulesOf(8050), 1u);
  EXPECT_EQ(RulesOf(8100), 1u);
  EXPECT_EQ(RulesOf(8101), 0u);
}

TEST_F(TablesTest, RangesOfOneFilterMayOverlapAndTouchTheLastPort) {
  ASSERT_TRUE(
      tables_.Set(RuleBit(0), PortFilter({{65'000, 65'535}, {100, 200}, {150, 300}, {120, 130}}))
          .ok());
  for (const uint16_t port : {100, 125, 150, 200, 300, 65'000, 65'535}) {
    EXPECT_EQ(RulesOf(port), 1u) << port;
  }
  for (const uint16_t port : {99, 301, 64'999}) EXPECT_EQ(RulesOf(port), 0u) << port;
}

TEST_F(TablesTest, RangesOfSeveralFiltersAreToldApart) {
  ASSERT_TRUE(tables_.Set(RuleBit(0), PortFilter({{1, 65'535}})).ok());
  ASSERT_TRUE(tables_.Set(RuleBit(1), PortFilter({{80, 90}})).ok());
  ASSERT_TRUE(tables_.Set(RuleBit(2), PortFilter({{85, 85}})).ok());
  EXPECT_EQ(RulesOf(79), 0b001u);
  EXPECT_EQ(RulesOf(80), 0b011u);
  EXPECT_EQ(RulesOf(85), 0b111u);
  EXPECT_EQ(RulesOf(86), 0b011u);
  EXPECT_EQ(RulesOf(91), 0b001u);
  tables_.Clear(RuleBit(0));
  EXPECT_EQ(RulesOf(79), 0u);
  EXPECT_EQ(RulesOf(85), 0b110u);
  tables_.Clear(RuleBit(1));
  tables_.Clear(RuleBit(2));
  EXPECT_EQ(RulesOf(85), 0u);
}

TEST_F(TablesTest, NumbersOfPortSetsAreUsedAgainForAsLongAsTheAgentLives) {
  for (int turn = 0; turn < 3 * FL_MAX_SETS; ++turn) {
    const auto port = static_cast<uint16_t>(1 + turn % 65'535);
    ASSERT_TRUE(tables_.Set(RuleBit(3), PortFilter({{port, port}})).ok());
    EXPECT_EQ(RulesOf(port), 0b1000u);
    tables_.Clear(RuleBit(3));
  }
  EXPECT_LT(chunks_.size(), size_t{FL_SET_CHUNKS} / 2);
}

TEST_F(TablesTest, ARangeIsWholeAgainWhenWhatCutItHasGone) {
  constexpr uint16_t kFirst = 65'200, kLast = 65'535;
  ASSERT_TRUE(tables_.Set(RuleBit(0), PortFilter({{kFirst, kLast}})).ok());
  for (int turn = 0; turn < 2 * FL_MAX_SETS; ++turn) {
    const auto port = static_cast<uint16_t>(kFirst + 1 + turn * 7 % (kLast - kFirst - 1));
    ASSERT_TRUE(tables_.Set(RuleBit(1), PortFilter({{port, port}})).ok()) << turn;
    EXPECT_EQ(RulesOf(port), 0b11u);
    tables_.Clear(RuleBit(1));
  }
  EXPECT_EQ(memory_->port_set[FL_PEER][kFirst], memory_->port_set[FL_PEER][kLast]);
}

TEST_F(TablesTest, EveryRuleAndTargetHasItsBitAndItsPlaceInTheSummaries) {
  for (unsigned rule = 0; rule < FL_MAX_RULES; ++rule) {
    Filter filter =
        PortFilter({{static_cast<uint16_t>(1 + rule), static_cast<uint16_t>(1 + rule)}});
    filter.hook = rule % FL_MAX_HOOKS;
    ASSERT_TRUE(tables_.Set(RuleBit(rule), filter).ok()) << rule;
  }
  for (unsigned target = 0; target < FL_MAX_TARGETS; ++target) {
    Filter filter;
    filter.egress = filter.ingress = true;
    filter.hook = target;
    ASSERT_TRUE(tables_.Set(TargetBit(target), filter).ok()) << target;
  }
  for (const unsigned rule : {0u, 255u, 256u, 4'095u}) {
    const fl_bits& ports = SetOf(static_cast<uint16_t>(1 + rule));
    EXPECT_EQ(ports.rules, uint64_t{1} << (rule / 64));
    EXPECT_EQ(ports.word[FL_TARGET_WORDS + rule / 64], uint64_t{1} << (rule % 64));
    EXPECT_TRUE(Has(memory_->hook[rule % FL_MAX_HOOKS].bits[FL_EGRESS], RuleBit(rule)));
  }
  EXPECT_EQ(memory_->protocol[FL_PROTO_UDP].rules, ~uint64_t{0});
  EXPECT_EQ(memory_->any_port[FL_LOCAL].targets, (uint64_t{1} << FL_TARGET_WORDS) - 1);
  EXPECT_EQ(memory_->hook[511].bits[FL_INGRESS].targets, uint64_t{1} << 7);
  EXPECT_EQ(memory_->hook[511].bits[FL_INGRESS].rules, 0u);
  for (unsigned rule = 0; rule < FL_MAX_RULES; ++rule) tables_.Clear(RuleBit(rule));
  for (unsigned target = 0; target < FL_MAX_TARGETS; ++target) tables_.Clear(TargetBit(target));
  EXPECT_TRUE(IsEmpty(memory_->protocol[FL_PROTO_UDP]));
  EXPECT_TRUE(IsEmpty(memory_->any_port[FL_LOCAL]));
  for (const fl_hook& hook : memory_->hook) EXPECT_TRUE(IsEmpty(hook.bits[FL_EGRESS]));
}

TEST_F(TablesTest, AHookAsksForWhatItsFiltersAskForAndForgetsItOnceNothingLooksThere) {
  constexpr unsigned kHook = 3;
  fl_hook& hook = memory_->hook[kHook];
  Filter by_port = PortFilter({{80, 80}}), by_protocol;
  by_port.hook = by_protocol.hook = kHook;
  by_protocol.ingress = true;
  by_protocol.protocols = {FL_PROTO_UDP};
  ASSERT_TRUE(tables_.Set(RuleBit(0), by_port).ok());
  EXPECT_EQ(hook.asks, unsigned{FL_ASKS_PEER_PORT});
  EXPECT_EQ(hook.all_ask, unsigned{FL_ASKS_PEER_PORT});
  ASSERT_TRUE(tables_.Set(TargetBit(0), by_protocol).ok());
  EXPECT_EQ(hook.asks, unsigned{FL_ASKS_PEER_PORT | FL_ASKS_PROTOCOL});
  EXPECT_EQ(hook.all_ask, 0u) << "the target does not care for ports";
  tables_.Clear(TargetBit(0));
  EXPECT_EQ(hook.all_ask, unsigned{FL_ASKS_PEER_PORT});
  EXPECT_EQ(hook.asks, unsigned{FL_ASKS_PEER_PORT | FL_ASKS_PROTOCOL});
  tables_.Clear(RuleBit(0));
  EXPECT_EQ(hook.all_ask, 0u);
  ASSERT_TRUE(tables_.Set(RuleBit(0), by_port).ok());
  EXPECT_EQ(hook.asks, unsigned{FL_ASKS_PEER_PORT});
}

TEST_F(TablesTest, EveryChangeIsAnotherGeneration) {
  const auto changes = [&](const std::function<void()>& change) {
    const unsigned before = memory_->generation;
    change();
    return memory_->generation != before;
  };
  const Filter filter = PortFilter({{80, 80}});
  EXPECT_TRUE(changes([&] { ASSERT_TRUE(tables_.Set(RuleBit(0), filter).ok()); }));
  EXPECT_TRUE(changes([&] { ASSERT_TRUE(tables_.Replace(RuleBit(0), RuleBit(1), filter).ok()); }));
  EXPECT_TRUE(changes([&] { ASSERT_TRUE(tables_.SetPeers(RuleBit(1), {}, {}).ok()); }));
  EXPECT_TRUE(changes([&] { tables_.Clear(RuleBit(1)); }));
}

TEST_F(TablesTest, ARuleTakesThePlaceOfAnotherInOneWord) {
  ASSERT_TRUE(tables_.Set(RuleBit(70), PortFilter({{80, 80}})).ok());
  ASSERT_TRUE(tables_.Replace(RuleBit(70), RuleBit(71), PortFilter({{80, 81}})).ok());
  EXPECT_FALSE(tables_.IsSet(RuleBit(70)));
  EXPECT_TRUE(tables_.IsSet(RuleBit(71)));
  EXPECT_EQ(memory_->hook[0].bits[FL_EGRESS].word[FL_TARGET_WORDS + 1], uint64_t{1} << 7);
  EXPECT_EQ(SetOf(80).word[FL_TARGET_WORDS + 1], uint64_t{1} << 7);
  EXPECT_EQ(SetOf(81).word[FL_TARGET_WORDS + 1], uint64_t{1} << 7);
}

}  // namespace
}  // namespace faultline::network
