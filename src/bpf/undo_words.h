// What the undo journal's records have in common: numbers as words, and a network namespace that
// has to be the very one, whatever its name means by now.
#pragma once

#include <charconv>
#include <functional>
#include <string>

#include "base/status.h"
#include "bpf/netns.h"

namespace faultline::bpf {

// False when the word is not a number of that type and base, whole.
template <typename T>
bool ParseWord(const std::string& word, T* number, int base = 10) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *number, base);
  return error == std::errc() && end == word.data() + word.size();
}

// INVALID_ARGUMENT: the words are not what was recorded.
Status DamagedWords();

// Runs `work` in the namespace; its status is the result. OK without it when that has gone.
Status InNetnsIfThere(const std::string& netns, const NetnsId& id,
                      const std::function<Status()>& work);

}  // namespace faultline::bpf
