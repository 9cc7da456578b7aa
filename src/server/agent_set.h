// Whose measurements a node asks another node for.
#pragma once

#include <set>
#include <string>

namespace faultline::server {

struct AgentSet {
  bool all = false;
  std::set<std::string> ids = {};  // unless all

  bool empty() const { return !all && ids.empty(); }
  bool Contains(const std::string& id) const { return all || ids.contains(id); }
  bool operator==(const AgentSet&) const = default;
};

}  // namespace faultline::server
