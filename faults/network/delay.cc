#include "faults/network/delay.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace faultline::network {
namespace {

// Tail index of the Pareto distribution: heavy, but with a variance.
constexpr double kParetoIndex = 3;
const double kParetoMean = kParetoIndex / (kParetoIndex - 1);
const double kParetoDeviation = kParetoMean / std::sqrt(kParetoIndex * (kParetoIndex - 2));

// Share of the normal distribution below x.
double NormalShare(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

void Normalize(std::vector<double>* sample) {
  std::ranges::sort(*sample);
  const auto count = static_cast<double>(sample->size());
  const double mean = std::accumulate(sample->begin(), sample->end(), 0.0) / count;
  double squares = 0;
  for (const double value : *sample) squares += (value - mean) * (value - mean);
  for (double& value : *sample) value = (value - mean) / std::sqrt(squares / count);
}

}  // namespace

DelayModel::DelayModel(uint64_t delay_ns, Jitter jitter, uint64_t seed)
    : delay_ns_(delay_ns), jitter_(std::move(jitter)), seed_(seed) {
  if (jitter_.shape == Jitter::Shape::kTable) Normalize(&jitter_.sample);
  last_normal_ = DrawNormal();
}

double DelayModel::DrawUnit() {
  constexpr double kScale = 1.0 / static_cast<double>(uint64_t{1} << 53);
  return (static_cast<double>(Mix(seed_ ^ Mix(turn_++)) >> 11) + 0.5) * kScale;
}

// Box and Muller: two uniform draws make a normal one.
double DelayModel::DrawNormal() {
  const double radius = std::sqrt(-2 * std::log(DrawUnit()));
  return radius * std::cos(2 * std::numbers::pi * DrawUnit());
}

double DelayModel::Deviation(double normal) const {
  switch (jitter_.shape) {
    case Jitter::Shape::kUniform:
      return 2 * NormalShare(normal) - 1;
    case Jitter::Shape::kNormal:
      return normal;
    case Jitter::Shape::kPareto:
      return (std::pow(NormalShare(-normal), -1 / kParetoIndex) - kParetoMean) / kParetoDeviation;
    case Jitter::Shape::kTable:
      break;
  }
  const auto size = jitter_.sample.size();
  const auto place = static_cast<size_t>(NormalShare(normal) * static_cast<double>(size));
  return jitter_.sample[std::min(place, size - 1)];
}

// Correlated normal numbers, each turned into the place of the distribution that it stands for:
// correlation changes neither mean nor spread.
uint64_t DelayModel::Draw() {
  if (jitter_.width_ns == 0) return delay_ns_;
  const double rho = jitter_.correlation;
  last_normal_ = rho * last_normal_ + std::sqrt(1 - rho * rho) * DrawNormal();
  const double delay = static_cast<double>(delay_ns_) +
                       Deviation(last_normal_) * static_cast<double>(jitter_.width_ns);
  return static_cast<uint64_t>(std::clamp(delay, 0.0, static_cast<double>(kMaxDelayNs)));
}

}  // namespace faultline::network
