#include "base/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace faultline {
namespace {

using ::testing::HasSubstr;

chaos::v1::SparseHistogram Sparse(std::initializer_list<std::pair<unsigned, uint64_t>> buckets) {
  chaos::v1::SparseHistogram sparse;
  sparse.set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  for (const auto& [index, count] : buckets) {
    sparse.add_index(index);
    sparse.add_count(count);
  }
  return sparse;
}

TEST(LogLinear, EveryValueLiesInItsBucketAndNoBucketIsWiderThanTwoPercent) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t value = 1024 + (random() >> (28 + random() % 26));
    if (value >= (1ull << 36)) continue;
    const unsigned bucket = fl_hist_bucket(value);
    ASSERT_LE(fl_hist_lower_ns(bucket), value);
    ASSERT_GT(fl_hist_upper_ns(bucket), value);
    ASSERT_LE(static_cast<double>(fl_hist_upper_ns(bucket) - fl_hist_lower_ns(bucket)),
              0.02 * static_cast<double>(fl_hist_lower_ns(bucket)));
  }
}

TEST(LogLinear, BucketsFollowOneAnotherWithoutAGap) {
  for (unsigned i = 0; i + 1 < FL_HIST_BUCKETS; ++i) {
    ASSERT_EQ(fl_hist_upper_ns(i), fl_hist_lower_ns(i + 1));
    ASSERT_EQ(fl_hist_bucket(fl_hist_lower_ns(i)), i);
  }
}

TEST(LogLinear, ValuesBeyondTheEndsCountInTheFirstAndLastBucket) {
  EXPECT_EQ(fl_hist_bucket(0), 0u);
  EXPECT_EQ(fl_hist_bucket(~0ull), FL_HIST_BUCKETS - 1u);
}

TEST(Histogram, PercentileIsWithinOnePercentOfTheExactOne) {
  Histogram histogram;
  for (uint64_t us = 1; us <= 10'000; ++us) histogram.Record(us * 1'000);
  EXPECT_NEAR(histogram.PercentileNs(50), 5'000e3, 50e3);
  EXPECT_NEAR(histogram.PercentileNs(99), 9'900e3, 99e3);
  EXPECT_NEAR(histogram.PercentileNs(100), 10'000e3, 100e3);
}

TEST(Histogram, EmptyHasNoPercentile) { EXPECT_EQ(Histogram().PercentileNs(99), 0); }

TEST(Histogram, SparseFormMergesBackExactly) {
  Histogram histogram;
  histogram.Record(5'000'000, 3);
  histogram.Record(90'000'000, 2);
  Histogram merged;
  ASSERT_TRUE(merged.Merge(histogram.ToSparse()).ok());
  ASSERT_TRUE(merged.Merge(histogram.ToSparse()).ok());
  EXPECT_EQ(merged.count(), 10u);
  merged.Subtract(histogram);
  for (unsigned i = 0; i < FL_HIST_BUCKETS; ++i) ASSERT_EQ(merged.bucket(i), histogram.bucket(i));
}

TEST(Histogram, RefusesAForeignIndexAndStaysAsItWas) {
  Histogram histogram;
  EXPECT_EQ(histogram.Merge(Sparse({{1, 1}, {FL_HIST_BUCKETS, 1}})).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(histogram.count(), 0u);
}

TEST(Histogram, CountsThatWouldOverflowASumAreRefusedAndNamed) {
  constexpr uint64_t kHalf = uint64_t{1} << 63;
  Histogram histogram;
  SparseBuckets buckets;
  auto sum = Sparse({{7, 1}});
  for (const uint64_t count : {kHalf, kMaxBucketCount + 1}) {
    const auto sparse = Sparse({{3, 1}, {7, count}});
    for (const Status& refused :
         {histogram.Merge(sparse), buckets.Merge(sparse), MergeSparse(sparse, &sum)}) {
      EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
      EXPECT_THAT(ToString(refused.message()), HasSubstr(std::to_string(count)));
    }
  }
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(buckets.count(), 0u);
  EXPECT_EQ(sum.count_size(), 1);
  EXPECT_TRUE(MergeSparse(Sparse({{7, kMaxBucketCount}}), &sum).ok());
  EXPECT_EQ(sum.count(0), kMaxBucketCount) << "a sum is what may be merged again";
}

TEST(Histogram, IndexesThatDoNotGrowAreRefused) {
  EXPECT_FALSE(Histogram().Merge(Sparse({{7, 1}, {7, 1}})).ok());
  EXPECT_FALSE(SparseBuckets().Merge(Sparse({{7, 1}, {3, 1}})).ok());
}

TEST(SparseBuckets, LoseNoMoreThanTheyHave) {
  SparseBuckets buckets;
  ASSERT_TRUE(buckets.Merge(Sparse({{3, 2}, {7, 5}})).ok());
  buckets.Subtract(Sparse({{3, 4}, {5, 1}, {7, 1}}));
  EXPECT_EQ(buckets.count(), 4u);
}

TEST(SparseBuckets, AgreeWithTheHistogramWhateverIsMergedAndTakenAway) {
  constexpr double kPercents[] = {1, 50, 90, 99, 99.9, 100};
  Histogram all;
  SparseBuckets sparse;
  std::vector<chaos::v1::SparseHistogram> parts;
  for (uint64_t part = 1; part <= 20; ++part) {
    Histogram some;
    for (uint64_t i = 0; i < part * 7; ++i) some.Record((i * i + part) * 4'321, 1 + i % 3);
    parts.push_back(some.ToSparse());
    ASSERT_TRUE(sparse.Merge(parts.back()).ok());
    if (part % 4 == 0) {
      sparse.Subtract(parts.back());
    } else {
      all.Merge(some);
    }
    EXPECT_EQ(sparse.count(), all.count());
    const auto values = sparse.PercentilesNs(kPercents);
    for (size_t i = 0; i < std::size(kPercents); ++i) {
      EXPECT_EQ(values[i], all.PercentileNs(kPercents[i])) << kPercents[i];
    }
  }
  EXPECT_FALSE(sparse.Merge(Sparse({{FL_HIST_BUCKETS, 1}})).ok());
  EXPECT_EQ(sparse.count(), all.count());
}

TEST(SparseBuckets, WithoutAnythingHaveZeroPercentiles) {
  constexpr double kPercents[] = {50, 99};
  EXPECT_EQ(SparseBuckets().PercentilesNs(kPercents), (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace faultline
