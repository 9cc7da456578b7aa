// The numbered bit vectors that filters share with the kernel, and how single bits of them change.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/status.h"
#include "faults/network/datapath.h"

namespace faultline::network {

// Position in fl_bits: targets first, then rules.
constexpr unsigned TargetBit(unsigned target) { return target; }
constexpr unsigned RuleBit(unsigned rule) { return FL_MAX_TARGETS + rule; }

// Sets or clears one bit, and what the summary says of its word, while the kernel reads: what all
// other bits say does not change at any moment.
void Assign(fl_bits* bits, unsigned bit, bool on);
bool Has(const fl_bits& bits, unsigned bit);
bool IsEmpty(const fl_bits& bits);
// Puts `on` in the place of `off`: with one store when both are in the same word and both are
// rules, else `on` first.
void Exchange(fl_bits* bits, unsigned off, unsigned on);

// One thread. Numbers from 1 to FL_MAX_SETS - 1; 0 stands for the empty vector everywhere.
class BitSets {
 public:
  // Gives the memory of one more chunk (FL_SETS_PER_CHUNK vectors, all empty) that the kernel finds
  // under that number from now on, and that outlives this.
  using Grow = std::function<StatusOr<fl_bits*>(unsigned chunk)>;
  explicit BitSets(Grow grow) : grow_(std::move(grow)) {}

  // The number of a vector that is empty, or like that of `like`, until it is changed.
  // RESOURCE_EXHAUSTED when there are no more.
  StatusOr<unsigned> Make(unsigned like = 0);
  // The number is not used any more, and means nothing else before thousands of others have been
  // given back: a packet may just be looking at it.
  void GiveBack(unsigned number);

  fl_bits& operator[](unsigned number) {
    return chunks_[number / FL_SETS_PER_CHUNK][number % FL_SETS_PER_CHUNK];
  }

 private:
  StatusOr<unsigned> Find();

  const Grow grow_;
  std::vector<fl_bits*> chunks_;
  unsigned next_ = 1;
  std::deque<unsigned> returned_;
};

}  // namespace faultline::network
