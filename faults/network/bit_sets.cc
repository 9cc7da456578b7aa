#include "faults/network/bit_sets.h"

#include <algorithm>

namespace faultline::network {
namespace {

// So many numbers wait before one of them is used again, if there are others.
constexpr size_t kWaiting = 4096;

struct Place {
  __u64* word;
  __u64* summary;
  uint64_t mask;          // in the word
  uint64_t summary_mask;  // in the summary
};

Place PlaceOf(fl_bits* bits, unsigned bit) {
  const unsigned word = bit / 64;
  const bool is_rule = word >= FL_TARGET_WORDS;
  return {.word = &bits->word[word],
          .summary = is_rule ? &bits->rules : &bits->targets,
          .mask = uint64_t{1} << (bit % 64),
          .summary_mask = uint64_t{1} << (is_rule ? word - FL_TARGET_WORDS : word)};
}

}  // namespace

void Assign(fl_bits* bits, unsigned bit, bool on) {
  const Place at = PlaceOf(bits, bit);
  if (on) {
    __atomic_store_n(at.word, *at.word | at.mask, __ATOMIC_RELEASE);
    __atomic_store_n(at.summary, *at.summary | at.summary_mask, __ATOMIC_RELEASE);
  } else {
    __atomic_store_n(at.word, *at.word & ~at.mask, __ATOMIC_RELEASE);
    if (*at.word == 0) {
      __atomic_store_n(at.summary, *at.summary & ~at.summary_mask, __ATOMIC_RELEASE);
    }
  }
}

bool Has(const fl_bits& bits, unsigned bit) { return (bits.word[bit / 64] >> (bit % 64) & 1) != 0; }

bool IsEmpty(const fl_bits& bits) { return bits.rules == 0 && bits.targets == 0; }

void Exchange(fl_bits* bits, unsigned off, unsigned on) {
  if (off / 64 != on / 64 || !Has(*bits, off)) {
    Assign(bits, on, true);
    Assign(bits, off, false);
    return;
  }
  const Place at = PlaceOf(bits, on);
  const uint64_t less = uint64_t{1} << (off % 64);
  __atomic_store_n(at.word, (*at.word & ~less) | at.mask, __ATOMIC_RELEASE);
}

StatusOr<unsigned> BitSets::Find() {
  const bool more = next_ < FL_MAX_SETS;
  if (!returned_.empty() && (returned_.size() > kWaiting || !more)) {
    const unsigned number = returned_.front();
    returned_.pop_front();
    return number;
  }
  if (!more) {
    return MakeError(StatusCode::kResourceExhausted,
                     "filters name more than {} different sets of ports and networks",
                     FL_MAX_SETS - 1);
  }
  if (next_ / FL_SETS_PER_CHUNK >= chunks_.size()) {
    FL_ASSIGN_OR_RETURN(fl_bits * chunk, grow_(static_cast<unsigned>(chunks_.size())));
    chunks_.push_back(chunk);
  }
  return next_++;
}

StatusOr<unsigned> BitSets::Make(unsigned like) {
  FL_ASSIGN_OR_RETURN(const unsigned number, Find());
  if (like != 0) {
    (*this)[number] = (*this)[like];
  } else {
    (*this)[number] = fl_bits{};
  }
  return number;
}

void BitSets::GiveBack(unsigned number) { returned_.push_back(number); }

}  // namespace faultline::network
