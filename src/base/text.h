// Texts that come from outside: what they must be, how they are read, and how they are shown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline {

// Without blanks at its ends; a part of `text`.
std::string_view Trimmed(std::string_view text);

bool IsUtf8(std::string_view text);
// Bytes below blank, and DEL: they would do things to a terminal.
bool HasControlCharacters(std::string_view text);

// For an error message: control characters and what is not UTF-8 as \xNN, and after `max_bytes`
// "..." for the rest.
std::string Shown(std::string_view text, size_t max_bytes = 128);

// A whole number, all of `text`; an error about `field` when it is none or not from `min` to `max`.
StatusOr<uint64_t> ParseWholeNumber(std::string_view field, std::string_view text, uint64_t min,
                                    uint64_t max);

}  // namespace faultline
