#include "base/text.h"

#include <algorithm>
#include <charconv>

namespace faultline {
namespace {

bool IsControl(unsigned char byte) { return byte < 0x20 || byte == 0x7F; }

// Length of the UTF-8 sequence that `text` begins with; 0 when that is none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first < 0xC2   ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Too long a form, a surrogate, or beyond the last code point.
  const bool wrong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) >= 0xA0) ||
                     (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) >= 0x90);
  return wrong ? 0 : length;
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool HasControlCharacters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return IsControl(static_cast<unsigned char>(c)); });
}

std::string Shown(std::string_view text, size_t max_bytes) {
  std::string shown;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t length = SequenceLength(rest);
    const size_t step = std::max<size_t>(length, 1);
    if (text.size() - rest.size() + step > max_bytes) return shown + "...";
    const auto first = static_cast<unsigned char>(rest[0]);
    if (length == 0 || IsControl(first)) {
      shown += fmt::format("\\x{:02x}", first);
    } else {
      shown += rest.substr(0, length);
    }
    rest.remove_prefix(step);
  }
  return shown;
}

StatusOr<uint64_t> ParseWholeNumber(std::string_view field, std::string_view text, uint64_t min,
                                    uint64_t max) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && number >= min && number <= max) return number;
  return FieldError(field, text, fmt::format("a whole number from {} to {}", min, max));
}

}  // namespace faultline
