#include "base/fault_delays.h"

#include <gtest/gtest.h>

#include "base/histogram.h"

namespace faultline {
namespace {

void Add(const char* experiment, uint32_t fault, uint64_t given_ns, FaultDelaysList* list) {
  chaos::v1::FaultDelays* delays = list->Add();
  delays->set_experiment_id(experiment);
  delays->set_fault_index(fault);
  Histogram given;
  given.Record(given_ns, 10);
  *delays->mutable_given() = given.ToSparse();
  delays->set_no_room(1);
  delays->set_packets(10);
  delays->set_p50_ms(static_cast<double>(given_ns) / 1e6);
}

uint64_t CountOf(const chaos::v1::FaultDelays& delays) {
  Histogram given;
  EXPECT_TRUE(given.Merge(delays.given()).ok());
  return given.count();
}

TEST(FaultDelays, AreSummedForEachFault) {
  FaultDelaysList sum, more;
  Add("e1", 0, 20'000'000, &sum);
  Add("e1", 0, 30'000'000, &more);
  Add("e1", 1, 20'000'000, &more);
  Add("e2", 0, 20'000'000, &more);
  Add("e2", 0, 40'000'000, &more);  // armed anew within one interval
  MergeDelays(more, &sum);
  ASSERT_EQ(sum.size(), 3);
  EXPECT_EQ(CountOf(sum[0]), 20u);
  EXPECT_EQ(sum[0].no_room(), 2u);
  EXPECT_EQ(CountOf(sum[1]), 10u);
  EXPECT_EQ(sum[2].experiment_id(), "e2");
  EXPECT_EQ(CountOf(sum[2]), 20u);
}

TEST(FaultDelays, HaveThePercentilesOfWhatCameLast) {
  FaultDelaysList sum, more;
  Add("e1", 0, 20'000'000, &sum);
  Add("e2", 0, 20'000'000, &sum);
  Add("e1", 0, 30'000'000, &more);
  MergeDelays(more, &sum);
  EXPECT_EQ(sum[0].p50_ms(), 30);
  EXPECT_EQ(sum[0].packets(), 10u);
  EXPECT_EQ(sum[1].p50_ms(), 0) << "of this fault nothing came";
  EXPECT_EQ(CountOf(sum[1]), 10u);
}

TEST(FaultDelays, WhatIsNoHistogramIsNotCounted) {
  FaultDelaysList sum, more;
  Add("e1", 0, 20'000'000, &sum);
  Add("e1", 0, 30'000'000, &more);
  more[0].mutable_given()->add_index(FL_HIST_BUCKETS);
  more[0].mutable_given()->add_count(1);
  MergeDelays(more, &sum);
  EXPECT_EQ(CountOf(sum[0]), 10u);
}

TEST(FaultDelays, OfABoundedNumberOfFaultsAreKept) {
  FaultDelaysList sum;
  for (uint32_t fault = 0; fault < 2 * kMaxFaultDelays; ++fault) {
    FaultDelaysList more;
    Add("e1", 0, 20'000'000, &more);
    Add("e2", fault, 20'000'000, &more);
    MergeDelays(more, &sum);
  }
  EXPECT_EQ(sum.size(), kMaxFaultDelays);
  EXPECT_EQ(CountOf(sum[0]), 20u * kMaxFaultDelays);
}

}  // namespace
}  // namespace faultline
