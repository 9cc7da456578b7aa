// How long a delaying rule holds each packet. Pure.
#pragma once

#include <cstdint>

namespace faultline::network {

// splitmix64: the kernel side draws with the same function.
constexpr uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// The same seed draws the same delays in every run.
class DelayModel {
 public:
  enum class Shape { kUniform, kNormal };

  DelayModel() = default;
  // `jitter_ns`: half width (uniform) or standard deviation (normal).
  DelayModel(uint64_t delay_ns, uint64_t jitter_ns, Shape shape, uint64_t seed)
      : delay_ns_(delay_ns), jitter_ns_(jitter_ns), shape_(shape), seed_(seed) {}

  // Never negative: what the shape would put below 0 is 0.
  uint64_t Draw();

 private:
  // In (0, 1).
  double DrawUnit();

  uint64_t delay_ns_ = 0;
  uint64_t jitter_ns_ = 0;
  Shape shape_ = Shape::kUniform;
  uint64_t seed_ = 0;
  uint64_t turn_ = 0;
};

}  // namespace faultline::network
