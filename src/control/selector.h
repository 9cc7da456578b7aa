// Which targets an experiment means: "service:checkout,version:v1".
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "chaos/v1/agent.pb.h"
#include "chaos/v1/experiment.pb.h"
#include "control/cow_map.h"

namespace faultline::control {

class Selector {
 public:
  // Comma-separated "key:value" terms. INVALID_ARGUMENT about field "target" when `text` is none.
  static StatusOr<Selector> Parse(std::string_view text);

  // Every term holds: the key "target" against the target's id, "agent" against its agent's, any
  // other against the label of that name.
  bool Matches(const chaos::v1::Target& target) const;

  const std::string& text() const { return text_; }
  const std::vector<std::pair<std::string, std::string>>& terms() const { return terms_; }

 private:
  std::string text_;
  std::vector<std::pair<std::string, std::string>> terms_;
};

// The targets of `agents` that the selector matches, by target id. NOT_FOUND (NO_TARGET_MATCHES)
// when there are none; INVALID_ARGUMENT (UNKNOWN_SELECTOR_KEY) listing the known keys when a key is
// no label of any target.
StatusOr<std::vector<const chaos::v1::Target*>> SelectTargets(
    const Selector& selector, const CowMap<std::string, chaos::v1::Agent>& agents);

}  // namespace faultline::control
