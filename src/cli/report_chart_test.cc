#include "cli/report_chart.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

// Ten seconds before the fault, of which the sixth had no request, and ten under it.
chaos::v1::TargetReport Example() {
  chaos::v1::TargetReport target;
  target.set_target_id("a/x");
  for (int i = 0; i < 20; ++i) {
    auto* point = target.add_points();
    point->set_phase(i < 10 ? chaos::v1::REPORT_PHASE_BEFORE : chaos::v1::REPORT_PHASE_DURING);
    point->set_offset_ms(static_cast<uint64_t>(i) * 1'000);
    point->set_length_ms(1'000);
    if (i == 5) continue;
    point->set_requests(50);
    point->set_p50_ms(i < 10 ? 0.2 : 100);
    point->set_p99_ms(i < 10 ? 0.4 : 101);
    point->set_dropped(i == 15 ? 7 : 0);
  }
  return target;
}

std::string LineOf(const chaos::v1::TargetReport& target) {
  const std::string svg = CourseChart(target);
  const size_t path = svg.find("<path class=\"p50\" d=\"");
  return path == std::string::npos ? "" : svg.substr(path, svg.find("/>", path) - path);
}

TEST(ReportChart, LeavesAGapWhereNothingWasMeasured) {
  const std::string svg = CourseChart(Example());
  const std::string line = LineOf(Example());
  EXPECT_EQ(std::count(line.begin(), line.end(), 'M'), 2);
  EXPECT_THAT(svg, HasSubstr("7 packets dropped"));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(CourseChart({}), "");
}

TEST(ReportChart, BreaksTheLineWhereNothingIsKnown) {
  auto target = Example();
  const auto parts = [&target] {
    const std::string line = LineOf(target);
    return std::count(line.begin(), line.end(), 'M');
  };
  EXPECT_EQ(parts(), 2);
  EXPECT_THAT(CourseChart(target), Not(HasSubstr("class=\"gap\"")));
  for (int i = 12; i < target.points_size(); ++i) {
    auto* point = target.mutable_points(i);
    point->set_offset_ms(point->offset_ms() + 24'000);
  }
  EXPECT_EQ(parts(), 3);
  EXPECT_THAT(CourseChart(target), HasSubstr("nothing is known of 24s"));
  target.set_before_age_ms(60'000);
  EXPECT_EQ(parts(), 4) << "what is right before the fault on the axis was long before it";
}

TEST(ReportChart, StandsAlthoughNothingWasMeasuredAtAll) {
  chaos::v1::TargetReport target;
  target.add_points()->set_length_ms(1'000);
  const std::string svg = CourseChart(target);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace faultline::cli
