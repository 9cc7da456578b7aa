#include "agent/total_families.h"

#include <gmock/gmock.h>

#include "base/log_linear.h"

namespace faultline::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string TextOf(const SampleTotals& totals, const UnseenByTarget& unseen = {}) {
  http::Families families;
  AddTotals(totals, unseen, families);
  return http::ToText(families.Take());
}

// Series whose name begins so.
size_t Series(const std::string& text, const std::string& name) {
  size_t series = 0;
  for (size_t at = text.find("\n" + name); at != std::string::npos;
       at = text.find("\n" + name, at + 1)) {
    ++series;
  }
  return series;
}

// Of a target with traffic, a fault and no times.
chaos::v1::TargetSample Sample(const std::string& target) {
  chaos::v1::TargetSample sample;
  sample.set_target_id(target);
  sample.set_packets(10);
  sample.add_faults()->set_experiment_id("e1");
  return sample;
}

chaos::v1::SparseHistogram Twice3Ms() {
  chaos::v1::SparseHistogram histogram;
  histogram.add_index(fl_hist_bucket(3'000'000));
  histogram.add_count(2);
  return histogram;
}

TEST(TotalFamilies, HaveNoLineOfAHistogramInWhichNothingWasCounted) {
  SampleTotals totals;
  totals.Add({Sample("a")}, 1);
  const std::string text = TextOf(totals);
  EXPECT_THAT(text, Not(HasSubstr(" histogram\n")));
  EXPECT_THAT(text, Not(HasSubstr("duration_seconds")));
  EXPECT_THAT(text, Not(HasSubstr("smoothed_rtt")));
  EXPECT_THAT(text, HasSubstr("\nfaultline_target_packets_total{target=\"a\"} 10\n"));
  EXPECT_THAT(text, HasSubstr("\nfaultline_target_not_measurable_total{target=\"a\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("\nfaultline_fault_packets_dropped_total{experiment=\"e1\","
                              "fault=\"0\",target=\"a\"} 0\n"));
}

TEST(TotalFamilies, HaveEveryLineOfAHistogramOnceSomethingWasCounted) {
  SampleTotals totals;
  chaos::v1::TargetSample filled = Sample("a");
  *filled.mutable_latency() = Twice3Ms();
  auto* delays = filled.add_fault_delays();
  delays->set_experiment_id("e1");
  *delays->mutable_given() = Twice3Ms();
  totals.Add({filled, Sample("b")}, 1);
  totals.Add({Sample("a"), Sample("b")}, 2);  // it stays when nothing more is
  const std::string text = TextOf(totals);
  for (const std::string name :
       {"faultline_target_request_duration_seconds", "faultline_fault_delay_duration_seconds"}) {
    EXPECT_EQ(Series(text, name + "_bucket{"), SampleTotals::kBounds + 1) << name;
    EXPECT_EQ(Series(text, name + "_sum{"), 1u) << name;
    EXPECT_EQ(Series(text, name + "_count{"), 1u) << name;
  }
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{target=\"a\",le=\"0.00282\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{target=\"a\",le=\"0.00355\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{target=\"a\",le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_count{target=\"a\"} 2\n"));
}

// "a" as most are, "h" at the host's end of its link, "c" a cgroup without ports.
class UnseenCounters : public testing::Test {
 protected:
  UnseenCounters() {
    for (const char* id : {"a", "h", "c"}) targets_.emplace_back().set_target_id(id);
    targets_[1].set_at_host_end(true);
    targets_[2].set_cgroup("/shop");
    totals_.Add({Sample("a"), Sample("h"), Sample("c")}, 1);
  }
  // Of those targets that have such a series, the ids.
  std::string With(const std::string& name, bool drop_reasons = true) const {
    std::vector<chaos::v1::Capability> capabilities(1);
    capabilities[0].set_name("drop_reasons");
    capabilities[0].set_available(drop_reasons);
    const std::string text = TextOf(totals_, UnseenOf(targets_, capabilities));
    std::string ids;
    for (const std::string id : {"a", "h", "c"}) {
      if (text.find("\n" + name + "{target=\"" + id + "\"") != std::string::npos) ids += id;
    }
    return ids;
  }

  std::vector<chaos::v1::Target> targets_;
  SampleTotals totals_;
};

TEST_F(UnseenCounters, OfSocketsAreLeftOutAtTheHostsEnd) {
  EXPECT_EQ(With("faultline_target_retransmits_total"), "ac");
  EXPECT_EQ(With("faultline_target_connections_failed_total"), "ac");
}

TEST_F(UnseenCounters, OfFailedConnectionsAreLeftOutWhereTheKernelTellsNone) {
  EXPECT_EQ(With("faultline_target_connections_failed_total", /*drop_reasons=*/false), "");
  EXPECT_EQ(With("faultline_target_retransmits_total", false), "ac");
}

TEST_F(UnseenCounters, OfWhatComesInAreLeftOutOfACgroupWithoutPorts) {
  for (const char* name : {"handshakes_unpaired", "connections_refused", "http_responses"}) {
    EXPECT_EQ(With(fmt::format("faultline_target_{}_total", name)), "ah") << name;
  }
  const std::string text = TextOf(totals_, UnseenOf(targets_, {}));
  EXPECT_EQ(Series(text, "faultline_target_resets_total{target=\"c\",by=\"target\"}"), 1u);
  EXPECT_EQ(Series(text, "faultline_target_resets_total{target=\"c\",by=\"peer\"}"), 0u);
  targets_[2].add_ports(80);
  EXPECT_EQ(With("faultline_target_handshakes_unpaired_total"), "ahc");
}

TEST(TotalFamilies, TellOfDelaysForWhichTheHistogramHadNoRoom) {
  SampleTotals totals;
  chaos::v1::TargetSample sample = Sample("a");
  sample.add_fault_delays()->set_experiment_id("e1");
  for (const uint64_t no_room : {0u, 3u, 4u}) {
    sample.mutable_fault_delays(0)->set_no_room(no_room);
    totals.Add({sample}, 1);
  }
  EXPECT_THAT(TextOf(totals),
              HasSubstr("\nfaultline_fault_delays_without_room_total{experiment=\"e1\","
                        "fault=\"0\",target=\"a\"} 7\n"));
}

}  // namespace
}  // namespace faultline::agent
