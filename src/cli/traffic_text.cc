#include "cli/traffic_text.h"

#include <fmt/format.h>

#include <map>

namespace faultline::cli {

std::vector<std::pair<uint64_t, std::string>> TrafficCounts(
    const chaos::v1::TrafficDetail& traffic) {
  std::vector<std::pair<uint64_t, std::string>> counts;
  const auto add = [&counts](uint64_t count, const std::string& what) {
    if (count > 0) counts.emplace_back(count, what);
  };
  add(traffic.refused_sent(), "refused by target");
  add(traffic.refused_received(), "refused by peer");
  add(traffic.resets_sent(), "reset by target");
  add(traffic.resets_received(), "reset by peer");
  add(traffic.failed_handshakes(), "never accepted");
  add(traffic.failed_connections(), "broken off");
  add(traffic.retransmits(), "retransmitted");
  add(traffic.http_1xx(), "HTTP 1xx");
  add(traffic.http_2xx(), "HTTP 2xx");
  add(traffic.http_3xx(), "HTTP 3xx");
  add(traffic.http_4xx(), "HTTP 4xx");
  add(traffic.http_5xx(), "HTTP 5xx");
  const std::map<std::string, uint64_t> drops(traffic.kernel_drops().begin(),
                                              traffic.kernel_drops().end());
  for (const auto& [reason, count] : drops) add(count, "dropped by kernel: " + reason);
  add(traffic.unpaired_handshakes(), "handshakes not measured");
  add(traffic.events_lost(), "events beyond what is told one by one");
  return counts;
}

std::string TrafficText(const chaos::v1::TrafficDetail& traffic) {
  std::string text;
  for (const auto& [count, what] : TrafficCounts(traffic)) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  }
  return text;
}

std::vector<std::string> BatchTexts(uint64_t merged, uint64_t missed) {
  std::vector<std::string> texts;
  if (merged > 0) texts.push_back(fmt::format("{} measurements merged", merged));
  if (missed > 0) texts.push_back(fmt::format("{} measurements missed", missed));
  return texts;
}

}  // namespace faultline::cli
