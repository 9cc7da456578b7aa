// Which of the kernel's places a new rule gets.
#pragma once

#include <array>
#include <cstdint>

#include "base/status.h"
#include "faults/network/datapath.h"

namespace faultline::network {

// Numbers of one word of the bit vectors go to rules of one shape (ShapeOf), as long as there are
// words enough, and a word is filled only as far as all must be: so a rule that replaces another
// finds a number in the same word, and one that has gone is not soon another rule's, which packets
// that still obey it would meet in its place.
class RuleNumbers {
 public:
  // A number that is not taken; in the word of `near`, when given, if there is one.
  // RESOURCE_EXHAUSTED when all are taken.
  StatusOr<unsigned> Take(unsigned shape, const unsigned* near = nullptr);
  void GiveBack(unsigned number);

 private:
  struct Word {
    uint64_t taken = 0;
    unsigned shape = 0;  // of the first that came while it was empty
    unsigned last = 63;  // given out last: the next is looked for behind it
  };

  unsigned TakeIn(unsigned word);

  std::array<Word, FL_RULE_WORDS> words_;
};

}  // namespace faultline::network
