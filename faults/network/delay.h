// How long a delaying rule holds each packet. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "faults/network/chance.h"

namespace faultline::network {

// The form of the jitter around a delay. All keep the delay as their mean, as far as nothing of
// them is cut off (DelayModel::Draw).
struct Jitter {
  enum class Shape { kUniform, kNormal, kPareto, kTable };

  Shape shape = Shape::kUniform;
  uint64_t width_ns = 0;  // half width (uniform) or standard deviation (all others)
  // Of one packet's place in the distribution with the next one's, in [0, 1).
  double correlation = 0;
  // kTable: measured delays of any unit and mean, two different ones at least.
  std::vector<double> sample{};
};

// The same seed draws the same delays in every run.
class DelayModel {
 public:
  static constexpr uint64_t kMaxDelayNs = 60'000'000'000;

  DelayModel() = default;
  DelayModel(uint64_t delay_ns, Jitter jitter, uint64_t seed);

  // What the shape would put below 0 is 0, what it would put above kMaxDelayNs is that. Uniform and
  // pareto put nothing below 0 with a width of at most the delay. A normal shape's mean is 8.3 %
  // above a delay as long as the width, 0.4 % above one twice as long, 0.01 % above one three times
  // as long.
  uint64_t Draw();
  // What they are drawn around.
  uint64_t delay_ns() const { return delay_ns_; }
  // Whether they differ at all.
  bool IsDrawn() const { return jitter_.width_ns != 0; }

 private:
  // In (0, 1).
  double DrawUnit();
  double DrawNormal();
  // Where the distribution has `normal` as many standard deviations from the middle as a normal
  // one: in multiples of the width.
  double Deviation(double normal) const;

  uint64_t delay_ns_ = 0;
  Jitter jitter_;  // its sample sorted, with mean 0 and standard deviation 1
  uint64_t seed_ = 0;
  uint64_t turn_ = 0;
  double last_normal_ = 0;
};

}  // namespace faultline::network
