// Logs in JSON, as programs under test write them.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace faultline::cluster {

using LogLines = std::vector<nlohmann::json>;

// The whole lines of a log. One that is no object, lacks what every line has, or has a member twice
// fails the test.
inline LogLines ReadLog(const std::string& text) {
  LogLines lines;
  std::istringstream whole(text.substr(0, text.rfind('\n') + 1));
  for (std::string line; std::getline(whole, line);) {
    std::set<std::string> members;
    const auto note = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
      if (event == nlohmann::json::parse_event_t::key) {
        const auto name = parsed.get<std::string>();
        EXPECT_TRUE(members.insert(name).second) << name << " is there twice: " << line;
      }
      return true;
    };
    auto json = nlohmann::json::parse(line, note, /*allow_exceptions=*/false);
    if (!json.is_object()) {
      ADD_FAILURE() << "not JSON: " << line;
      continue;
    }
    for (const char* member : {"time", "level", "program", "thread", "message"}) {
      EXPECT_TRUE(json.contains(member)) << member << " is missing: " << line;
    }
    lines.push_back(std::move(json));
  }
  return lines;
}

// Those at that level with this text in their message.
inline LogLines Saying(const LogLines& lines, const std::string& level, const std::string& text) {
  LogLines found;
  for (const auto& line : lines) {
    if (line.value("level", "") != level) continue;
    if (line.value("message", "").find(text) != std::string::npos) found.push_back(line);
  }
  return found;
}

// The value of a field, such as experiment_id; empty when the line has none.
inline std::string FieldOf(const nlohmann::json& line, const std::string& name) {
  return line.value(name, "");
}

}  // namespace faultline::cluster
