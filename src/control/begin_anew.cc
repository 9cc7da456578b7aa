#include "control/begin_anew.h"

#include <vector>

namespace faultline::control {

size_t BeginAnew(State* state, const std::string& cluster_id, std::string_view reason,
                 const Moment& moment) {
  state->cluster_id = cluster_id;
  state->webhooks.clear();
  std::vector<std::string> connected;
  for (const auto& [id, agent] : state->agents) {
    if (agent.connected()) connected.push_back(id);
  }
  for (const std::string& id : connected) state->agents.Mutable(id).set_connected(false);
  size_t ended = 0;
  const std::set<uint64_t> unfinished = state->unfinished;
  for (const uint64_t index : unfinished) {
    auto& record = state->experiments.Mutable(index);
    if (record.end_cause() != v1::END_CAUSE_UNSPECIFIED) continue;
    state->Update(&record, [&] {
      BeginEnd(&record, v1::END_CAUSE_STOPPED, reason, moment);
      Conclude(&record, moment);
    });
    ++ended;
  }
  return ended;
}

}  // namespace faultline::control
