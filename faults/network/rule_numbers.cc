#include "faults/network/rule_numbers.h"

#include <bit>

namespace faultline::network {
namespace {

// How far all words are filled before any is filled further.
constexpr int kLevels[] = {32, 48, 56, 60, 64};

}  // namespace

unsigned RuleNumbers::TakeIn(unsigned index) {
  Word& word = words_[index];
  do word.last = (word.last + 1) % 64;
  while ((word.taken >> word.last & 1) != 0);
  word.taken |= uint64_t{1} << word.last;
  return index * 64 + word.last;
}

StatusOr<unsigned> RuleNumbers::Take(unsigned shape, const unsigned* near) {
  if (near != nullptr && ~words_[*near / 64].taken != 0) return TakeIn(*near / 64);
  for (const int level : kLevels) {
    unsigned empty = FL_RULE_WORDS, other = FL_RULE_WORDS;
    for (unsigned i = 0; i < FL_RULE_WORDS; ++i) {
      const int filled = std::popcount(words_[i].taken);
      if (filled == 0) {
        if (empty == FL_RULE_WORDS) empty = i;
      } else if (filled < level) {
        if (words_[i].shape == shape) return TakeIn(i);
        other = i;
      }
    }
    if (empty < FL_RULE_WORDS) {
      words_[empty].shape = shape;
      return TakeIn(empty);
    }
    if (other < FL_RULE_WORDS) return TakeIn(other);
  }
  return MakeError(StatusCode::kResourceExhausted, "this agent already carries {} faults",
                   FL_MAX_RULES);
}

void RuleNumbers::GiveBack(unsigned number) {
  words_[number / 64].taken &= ~(uint64_t{1} << (number % 64));
}

}  // namespace faultline::network
