#include "control/selector.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace faultline::control {
namespace {

constexpr std::string_view kTargetKey = "target";
constexpr std::string_view kAgentKey = "agent";

}  // namespace

StatusOr<Selector> Selector::Parse(std::string_view text) {
  const auto wrong = [&] {
    return FieldError("target", text,
                      "key:value terms separated by commas, such as service:checkout,version:v1",
                      "INVALID_SELECTOR");
  };
  Selector selector;
  selector.text_ = text;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    const std::string_view term = rest.substr(0, comma);
    const size_t colon = term.find(':');
    if (colon == std::string_view::npos) return wrong();
    const std::string_view key = Trimmed(term.substr(0, colon));
    const std::string_view value = Trimmed(term.substr(colon + 1));
    if (key.empty() || value.empty()) return wrong();
    selector.terms_.emplace_back(key, value);
    if (comma == std::string_view::npos) return selector;
    rest.remove_prefix(comma + 1);
  }
}

bool Selector::Matches(const chaos::v1::Target& target) const {
  return std::all_of(terms_.begin(), terms_.end(), [&](const auto& term) {
    if (term.first == kTargetKey) return target.target_id() == term.second;
    if (term.first == kAgentKey) return target.agent_id() == term.second;
    const auto label = target.labels().find(term.first);
    return label != target.labels().end() && label->second == term.second;
  });
}

namespace {

using Agents = CowMap<std::string, chaos::v1::Agent>;

// The agents whose targets can match, when the terms name a target or an agent; else all.
std::vector<const chaos::v1::Agent*> Candidates(const Selector& selector, const Agents& agents) {
  std::vector<const chaos::v1::Agent*> candidates;
  const auto add = [&](const std::string& id) {
    const auto found = agents.find(id);
    if (found != agents.end()) candidates.push_back(&found->second);
  };
  for (const auto& [key, value] : selector.terms()) {
    if (key == kAgentKey) {
      add(value);
      return candidates;
    }
    if (key != kTargetKey) continue;
    // "<agent>/<name>", and both may have slashes of their own.
    for (size_t at = value.find('/'); at != std::string::npos; at = value.find('/', at + 1)) {
      add(value.substr(0, at));
    }
    return candidates;
  }
  for (const auto& [id, agent] : agents) candidates.push_back(&agent);
  return candidates;
}

std::vector<const chaos::v1::Target*> Matching(const Selector& selector, const Agents& agents) {
  std::vector<const chaos::v1::Target*> matched;
  const auto& terms = selector.terms();
  const auto named = std::find_if(terms.begin(), terms.end(),
                                  [](const auto& term) { return term.first == kTargetKey; });
  for (const auto* agent : Candidates(selector, agents)) {
    for (const auto& target : agent->targets()) {
      // An agent may have thousands, of which a name means one.
      if (named != terms.end() && target.target_id() != named->second) continue;
      if (selector.Matches(target)) matched.push_back(&target);
    }
  }
  std::sort(matched.begin(), matched.end(),
            [](const auto* a, const auto* b) { return a->target_id() < b->target_id(); });
  return matched;
}

// Why nothing matches.
Status NoMatch(const Selector& selector, const Agents& agents) {
  std::set<std::string> keys{std::string(kTargetKey), std::string(kAgentKey)};
  bool any_target = false;
  for (const auto& [id, agent] : agents) {
    for (const auto& target : agent.targets()) {
      any_target = true;
      for (const auto& [key, value] : target.labels()) keys.insert(key);
    }
  }
  for (const auto& [key, value] : selector.terms()) {
    if (!any_target || keys.contains(key)) continue;
    return FieldError(
        "target", selector.text(),
        fmt::format("'{}' is no key of any target; known keys are {}", key, fmt::join(keys, ", ")),
        "UNKNOWN_SELECTOR_KEY");
  }
  return FieldError("target", selector.text(),
                    any_target ? "a selector that matches at least one target"
                               : "no agent has registered a target yet",
                    "NO_TARGET_MATCHES", StatusCode::kNotFound);
}

}  // namespace

StatusOr<std::vector<const chaos::v1::Target*>> SelectTargets(
    const Selector& selector, const CowMap<std::string, chaos::v1::Agent>& agents) {
  auto matched = Matching(selector, agents);
  if (matched.empty()) return NoMatch(selector, agents);
  return matched;
}

}  // namespace faultline::control
