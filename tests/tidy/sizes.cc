// File and function sizes, as ratchets.
#include <fmt/format.h>

#include <charconv>
#include <set>

#include "tidy/functions.h"
#include "tidy/rules.h"

namespace faultline::tidy {
namespace {

bool HasLimit(std::string_view path) {
  return IsCpp(path) || path.ends_with(".py") || path.ends_with(".sh") ||
         path.ends_with(".proto") || path.ends_with(".swift");
}

// Complains about one measured thing; says in `used` which exceptions were needed.
void CheckOne(const std::string& key, size_t lines, size_t limit, const Ratchet& ratchet,
              std::set<std::string>* used, Complaints* complaints) {
  if (lines <= limit) return;
  const auto exception = ratchet.find(key);
  if (exception == ratchet.end()) {
    complaints->push_back(fmt::format("{}: {} lines, at most {}", key, lines, limit));
    return;
  }
  used->insert(key);
  if (lines > exception->second) {
    complaints->push_back(fmt::format("{}: {} lines, grown above its exception of {}", key, lines,
                                      exception->second));
  } else if (lines < exception->second) {
    complaints->push_back(
        fmt::format("{}: now {} lines: lower its exception from {} in ratchet.txt", key, lines,
                    exception->second));
  }
}

}  // namespace

Ratchet ParseRatchet(std::string_view text) {
  Ratchet ratchet;
  for (const std::string_view line : Lines(text)) {
    if (line.empty() || line[0] == '#') continue;
    size_t lines = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), lines);
    if (error == std::errc() && *end == ' ') ratchet[std::string(end + 1, line.end())] = lines;
  }
  return ratchet;
}

Complaints CheckSizes(const Sources& sources, const Ratchet& ratchet) {
  Complaints complaints;
  std::set<std::string> used;
  for (const Source& source : sources) {
    if (!HasLimit(source.path)) continue;
    const size_t lines = Lines(source.text).size();
    CheckOne(source.path, lines, kSoftFileLines, ratchet, &used, &complaints);
    if (lines > kHardFileLines) {
      complaints.push_back(fmt::format("{}: {} lines, and no exception allows more than {}",
                                       source.path, lines, kHardFileLines));
    }
    if (!IsCpp(source.path)) continue;
    for (const Function& function : FindFunctions(source.text)) {
      CheckOne(source.path + " " + function.name, function.lines, kSoftFunctionLines, ratchet,
               &used, &complaints);
    }
  }
  for (const auto& [key, lines] : ratchet) {
    if (!used.contains(key)) {
      complaints.push_back(
          fmt::format("{}: needs no exception any more: take it out of ratchet.txt", key));
    }
  }
  return complaints;
}

}  // namespace faultline::tidy
