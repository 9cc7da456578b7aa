#include "base/traffic.h"

#include <gtest/gtest.h>

#include "base/histogram.h"

namespace faultline {
namespace {

chaos::v1::TrafficDetail Seen(uint64_t handshake_ns, uint64_t refused) {
  chaos::v1::TrafficDetail traffic;
  Histogram histogram;
  histogram.Record(handshake_ns, 3);
  *traffic.mutable_handshake() = histogram.ToSparse();
  traffic.set_refused_sent(refused);
  return traffic;
}

TEST(Traffic, AddsUpExactly) {
  chaos::v1::TrafficDetail sum;
  EXPECT_TRUE(IsEmpty(sum));
  MergeTraffic(Seen(5'000'000, 2), &sum);
  MergeTraffic(Seen(90'000'000, 5), &sum);
  sum.set_resets_received(1);
  MergeTraffic({}, &sum);
  for (const uint64_t drops : {3, 4}) {
    chaos::v1::TrafficDetail dropped;
    (*dropped.mutable_kernel_drops())["NO_SOCKET"] = drops;
    MergeTraffic(dropped, &sum);
  }
  EXPECT_EQ(sum.kernel_drops().at("NO_SOCKET"), 7u);
  EXPECT_EQ(sum.refused_sent(), 7u);
  EXPECT_EQ(sum.resets_received(), 1u);
  Histogram both;
  ASSERT_TRUE(both.Merge(sum.handshake()).ok());
  EXPECT_EQ(both.count(), 6u);
  EXPECT_NEAR(both.PercentileNs(100), 90e6, 90e6 * 0.02);
}

TEST(Traffic, TellsSoManyReasonsApartAndNoMore) {
  chaos::v1::TrafficDetail sum;
  for (size_t i = 0; i < 2 * kMaxDropReasons; ++i) {
    chaos::v1::TrafficDetail dropped;
    (*dropped.mutable_kernel_drops())[std::to_string(i)] = 1;
    MergeTraffic(dropped, &sum);
  }
  EXPECT_EQ(sum.kernel_drops().size(), kMaxDropReasons + 1);
  EXPECT_EQ(sum.kernel_drops().at("OTHER"), kMaxDropReasons);
}

TEST(Traffic, TellsTheFirstEventsOfEachTypeAndCountsTheOthers) {
  using chaos::v1::TRAFFIC_EVENT_TYPE_KERNEL_DROP, chaos::v1::TRAFFIC_EVENT_TYPE_RESET;
  chaos::v1::TrafficDetail sum;
  for (int i = 0; i < 100; ++i) {
    chaos::v1::TrafficDetail dropped;
    for (const int64_t half : {0, 1}) {
      auto* event = dropped.add_events();
      event->set_type(TRAFFIC_EVENT_TYPE_KERNEL_DROP);
      event->set_timestamp_ns(2 * i + half);
    }
    dropped.set_events_lost(3);
    MergeTraffic(dropped, &sum);
  }
  chaos::v1::TrafficDetail reset;
  reset.add_events()->set_type(TRAFFIC_EVENT_TYPE_RESET);
  MergeTraffic(reset, &sum);
  ASSERT_EQ(sum.events_size(), static_cast<int>(kMaxEventsOfType) + 1);
  for (int i = 0; i < static_cast<int>(kMaxEventsOfType); ++i) {
    EXPECT_EQ(sum.events(i).timestamp_ns(), i);
  }
  EXPECT_EQ(sum.events(kMaxEventsOfType).type(), TRAFFIC_EVENT_TYPE_RESET) << "hidden by a flood";
  EXPECT_EQ(sum.events_lost(), 100u * (2 + 3) - kMaxEventsOfType);
  LoseEvents(&sum);
  EXPECT_EQ(sum.events_size(), 0);
  EXPECT_EQ(sum.events_lost(), 100u * (2 + 3) + 1);
}

TEST(Traffic, LeavesOutAHistogramOfAnotherScheme) {
  chaos::v1::TrafficDetail strange = Seen(5'000'000, 2), sum = Seen(5'000'000, 1);
  strange.mutable_handshake()->set_scheme(chaos::v1::HISTOGRAM_SCHEME_UNSPECIFIED);
  MergeTraffic(strange, &sum);
  EXPECT_EQ(sum.handshake().count(0), 3u);
  EXPECT_EQ(sum.refused_sent(), 3u);
}

}  // namespace
}  // namespace faultline
