#include "base/units.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <span>

namespace faultline {
namespace {

struct UnitScale {
  std::string_view name;
  double scale;
};

constexpr UnitScale kTime[] = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                               {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
constexpr UnitScale kSize[] = {{"bytes", 1}, {"B", 1},      {"KB", 1e3},      {"MB", 1e6},
                               {"GB", 1e9},  {"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
constexpr UnitScale kRate[] = {{"bps", 1}, {"kbps", 1e3}, {"mbps", 1e6}, {"gbps", 1e9}};
constexpr UnitScale kPercent[] = {{"%", 1}};

std::span<const UnitScale> FamilyOf(std::string_view unit) {
  for (const std::span<const UnitScale> family :
       {std::span<const UnitScale>(kTime), std::span<const UnitScale>(kSize),
        std::span<const UnitScale>(kRate), std::span<const UnitScale>(kPercent)}) {
    for (const auto& entry : family) {
      if (entry.name == unit) return family;
    }
  }
  return {};
}

// kB, Mbps and MS are what people write too, and none is another unit in other letters.
bool IsSameName(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
}

double ScaleOf(std::span<const UnitScale> family, std::string_view unit) {
  for (const auto& entry : family) {
    if (IsSameName(entry.name, unit)) return entry.scale;
  }
  return 0;
}

}  // namespace

std::string UnitsLike(std::string_view unit) {
  std::string names;
  for (const auto& entry : FamilyOf(unit)) {
    if (!names.empty()) names += ", ";
    names += entry.name;
  }
  return names;
}

StatusOr<double> ParseQuantity(std::string_view text, std::string_view unit) {
  const auto wrong = [&] {
    const std::string units = UnitsLike(unit);
    return MakeError(
        StatusCode::kInvalidArgument, "{}",
        units.empty() ? "a number" : fmt::format("a number, or one with a unit of {}", units));
  };
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return wrong();
  std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  while (!suffix.empty() && suffix.front() == ' ') suffix.remove_prefix(1);
  if (suffix.empty()) return value;
  const auto family = FamilyOf(unit);
  const double from = ScaleOf(family, suffix);
  if (from == 0) return wrong();
  return value * from / ScaleOf(family, unit);
}

}  // namespace faultline
