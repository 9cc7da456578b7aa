#include "faults/network/tables.h"

#include <gtest/gtest.h>

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

  // The first word of the rules that name the port.
  uint64_t RulesOf(uint16_t port) const {
    const unsigned number = memory_->port_class[FL_PEER][port];
    return number == 0 ? 0 : memory_->port_class_bits[FL_PEER][number].word[0];
  }

  std::unique_ptr<fl_tables> memory_ = std::make_unique<fl_tables>();
  Tables tables_{memory_.get(), -1, -1};
};

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
  for (int turn = 0; turn < 3 * FL_MAX_PORT_CLASSES; ++turn) {
    const auto port = static_cast<uint16_t>(1 + turn);
    ASSERT_TRUE(tables_.Set(RuleBit(3), PortFilter({{port, port}})).ok());
    EXPECT_EQ(RulesOf(port), 0b1000u);
    tables_.Clear(RuleBit(3));
  }
}

}  // namespace
}  // namespace faultline::network
