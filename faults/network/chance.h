// Seeded choices among frames. Pure.
#pragma once

#include <cstdint>
#include <optional>

namespace faultline::network {

// splitmix64: the kernel side draws with the same function.
constexpr uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// The n-th frame has the same fate in every run with the same seed.
class Chance {
 public:
  constexpr Chance() = default;
  // Each frame with this probability, in 2^-32.
  constexpr Chance(uint64_t of_2_32, uint64_t seed) : of_2_32_(of_2_32), seed_(seed) {}

  // For the next frame: a random number that is this frame's own when it is chosen, else none.
  std::optional<uint64_t> Draw() {
    const uint64_t drawn = Mix(seed_ ^ Mix(turn_++));
    if (static_cast<uint32_t>(drawn) >= of_2_32_) return std::nullopt;
    return drawn;
  }

 private:
  uint64_t of_2_32_ = 0;
  uint64_t seed_ = 0;
  uint64_t turn_ = 0;
};

}  // namespace faultline::network
