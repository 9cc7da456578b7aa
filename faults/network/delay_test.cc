#include "faults/network/delay.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace faultline::network {
namespace {

using Shape = Jitter::Shape;

constexpr int kDraws = 100'000;
constexpr uint64_t kDelayNs = 1'000'000, kWidthNs = 100'000;
constexpr Shape kShapes[] = {Shape::kUniform, Shape::kNormal, Shape::kPareto, Shape::kTable};
const std::vector<double> kTrace = {5, 1, 1, 1, 2, 2, 40, 3};

DelayModel Model(Shape shape, double correlation = 0, uint64_t seed = 3) {
  return DelayModel(kDelayNs,
                    {.shape = shape,
                     .width_ns = kWidthNs,
                     .correlation = correlation,
                     .sample = shape == Shape::kTable ? kTrace : std::vector<double>()},
                    seed);
}

std::vector<double> Deviations(DelayModel model) {
  std::vector<double> deviations(kDraws);
  for (double& value : deviations) value = static_cast<double>(model.Draw()) - kDelayNs;
  return deviations;
}

struct Moments {
  double mean = 0, deviation = 0, correlation = 0;
};

Moments MomentsOf(const std::vector<double>& values) {
  Moments moments;
  for (const double value : values) moments.mean += value / kDraws;
  double squares = 0, products = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double here = values[i] - moments.mean;
    squares += here * here;
    if (i > 0) products += here * (values[i - 1] - moments.mean);
  }
  moments.deviation = std::sqrt(squares / kDraws);
  moments.correlation = products / squares;
  return moments;
}

TEST(DelayModelTest, WithoutJitterEveryDelayIsTheOneAsked) {
  DelayModel model(5000, {.shape = Shape::kNormal}, 1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(model.Draw(), 5000u);
}

TEST(DelayModelTest, TheSameSeedDrawsTheSameDelays) {
  for (const Shape shape : kShapes) {
    EXPECT_EQ(Deviations(Model(shape, 0.5, 9)), Deviations(Model(shape, 0.5, 9)));
    EXPECT_NE(Deviations(Model(shape, 0.5, 9)), Deviations(Model(shape, 0.5, 8)));
  }
}

TEST(DelayModelTest, JitterHasTheWidthAskedAndKeepsTheMean) {
  for (const Shape shape : kShapes) {
    const Moments moments = MomentsOf(Deviations(Model(shape)));
    // A uniform spread of half width w has standard deviation w / sqrt(3).
    const double expected = shape == Shape::kUniform ? kWidthNs / std::sqrt(3) : kWidthNs;
    // Five standard errors of the mean. The square of a Pareto value has no variance, so that its
    // measured deviation converges slowly.
    EXPECT_NEAR(moments.mean, 0, 5 * expected / std::sqrt(kDraws)) << static_cast<int>(shape);
    EXPECT_NEAR(moments.deviation, expected, (shape == Shape::kPareto ? 0.2 : 0.02) * expected)
        << static_cast<int>(shape);
    EXPECT_NEAR(moments.correlation, 0, 5 / std::sqrt(kDraws)) << static_cast<int>(shape);
  }
}

TEST(DelayModelTest, CorrelationTiesNeighboursAndKeepsMeanAndWidth) {
  for (const Shape shape : {Shape::kUniform, Shape::kNormal}) {
    const Moments moments = MomentsOf(Deviations(Model(shape, 0.8)));
    const double expected = shape == Shape::kUniform ? kWidthNs / std::sqrt(3) : kWidthNs;
    // With correlation c the mean of n draws is as uncertain as that of n (1 - c) / (1 + c).
    EXPECT_NEAR(moments.mean, 0, 5 * expected * 3 / std::sqrt(kDraws));
    EXPECT_NEAR(moments.deviation, expected, 0.05 * expected);
    // Pearson's of the uniform shape: 6 / pi asin(c / 2) = 0.786.
    EXPECT_NEAR(moments.correlation, shape == Shape::kUniform ? 0.786 : 0.8, 0.02);
  }
}

TEST(DelayModelTest, AParetoTailIsLongOnOneSideOnly) {
  int far = 0;
  for (const double deviation : Deviations(Model(Shape::kPareto))) {
    EXPECT_GT(deviation, -0.58 * kWidthNs);
    far += deviation > 4 * static_cast<double>(kWidthNs);
  }
  // Above 4 deviations: (1.5 + 4 sqrt(0.75))^-3 = 0.82 %; a normal shape has 0.003 %.
  EXPECT_NEAR(far, 0.0082 * kDraws, 5 * std::sqrt(0.0082 * kDraws));
}

TEST(DelayModelTest, ATableIsDrawnInTheSharesOfItsValues) {
  std::map<double, int> counts;
  for (const double deviation : Deviations(Model(Shape::kTable))) ++counts[deviation];
  ASSERT_EQ(counts.size(), 5u);
  const int expected[] = {3, 2, 1, 1, 1};
  size_t i = 0;
  for (const auto& [value, count] : counts) {
    EXPECT_NEAR(count, expected[i++] * kDraws / 8.0, 5 * std::sqrt(kDraws / 8.0 * 3)) << value;
  }
}

// What README.md says of the mean where a shape is cut off at 0.
TEST(DelayModelTest, OnlyANormalShapeAsWideAsTheDelayIsCutOffAndRaisesItsMean) {
  for (const auto& [shape, mean] : std::map<Shape, double>{
           {Shape::kUniform, 1}, {Shape::kNormal, 1.0833}, {Shape::kPareto, 1}}) {
    DelayModel model(kDelayNs, {.shape = shape, .width_ns = kDelayNs}, 3);
    double sum = 0;
    for (int i = 0; i < kDraws; ++i) sum += static_cast<double>(model.Draw());
    // Five standard errors of draws with a deviation of at most the delay.
    EXPECT_NEAR(sum / kDraws / kDelayNs, mean, 5 / std::sqrt(kDraws)) << static_cast<int>(shape);
  }
}

TEST(DelayModelTest, NoDelayIsNegativeOrBeyondTheLongest) {
  for (const Shape shape : kShapes) {
    DelayModel model(100, {.shape = shape, .width_ns = DelayModel::kMaxDelayNs, .sample = kTrace},
                     3);
    for (int i = 0; i < 1000; ++i) EXPECT_LE(model.Draw(), DelayModel::kMaxDelayNs);
  }
}

}  // namespace
}  // namespace faultline::network
