#include "faults/network/dns_name_spec.h"

#include <algorithm>
#include <cctype>

namespace faultline::network {
namespace {

constexpr size_t kMaxNameBytes = 253, kMaxLabelBytes = 63;  // RFC 1035
constexpr std::string_view kAll = "*", kBelow = "*.";

bool IsLabel(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabelBytes &&
         std::ranges::all_of(
             label, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
}

bool IsName(std::string_view name) {
  if (name.size() > kMaxNameBytes) return false;
  while (true) {
    const size_t dot = name.find('.');
    if (!IsLabel(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

StatusOr<std::string> ParseNamePattern(std::string_view text) {
  std::string pattern(text);
  std::ranges::transform(pattern, pattern.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (pattern.ends_with('.')) pattern.pop_back();
  std::string_view name = pattern;
  if (name == kAll) return pattern;
  if (name.starts_with(kBelow)) name.remove_prefix(kBelow.size());
  if (IsName(name)) return pattern;
  return MakeError(StatusCode::kInvalidArgument, "'{}' is not a name pattern", text);
}

bool MatchesName(std::string_view pattern, std::string_view name) {
  if (pattern == kAll) return true;
  if (!pattern.starts_with(kBelow)) return name == pattern;
  const std::string_view suffix = pattern.substr(1);  // with its dot
  return name.size() > suffix.size() && name.ends_with(suffix);
}

}  // namespace faultline::network
