// One source of batches (a start of an agent) as the hub of a node has it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "chaos/v1/metrics.pb.h"
#include "server/target_windows.h"

namespace faultline::server {

// Not thread-safe.
struct MetricSource {
  // How much is kept for those who resume, and of how many batches at the most.
  static constexpr uint64_t kHistoryNs = 5'000'000'000;
  static constexpr size_t kHistoryBatches = 250;  // at the highest rate of agents

  struct Entry {
    std::shared_ptr<const chaos::v1::MetricsBatch> batch;
    TargetWindows::Updates updates;
  };

  bool relayed = false;
  // The hub has begun or ceased to follow the agent since the last batch: what another node had of
  // it meanwhile, nobody here has asked for.
  bool may_jump = false;
  uint64_t last_sequence = 0;
  uint64_t last_passed_on = 0;  // to the relays
  uint64_t last_ingest = 0;     // batches of all sources that the hub had taken by then
  uint64_t last_ns = 0;         // CLOCK_MONOTONIC
  TargetWindows windows;
  std::deque<Entry> history;
  uint64_t history_ns = 0;

  // Agents send once a second at least: this one is away, or at another node. Only where it stood
  // is kept of it.
  bool IsSilent(uint64_t now_ns) const { return last_ns + kHistoryNs < now_ns; }

  // Whether its last batch has no fault of the experiment.
  bool IsWithout(const std::string& experiment_id) const {
    return !history.empty() &&
           std::none_of(history.back().updates.begin(), history.back().updates.end(),
                        [&](const auto& one) { return one->experiment_id() == experiment_id; });
  }

  void Keep(Entry entry) {
    history_ns += entry.batch->interval_ns();
    history.push_back(std::move(entry));
    while (
        history.size() > kHistoryBatches ||
        (history.size() > 1 && history_ns - history.front().batch->interval_ns() >= kHistoryNs)) {
      history_ns -= history.front().batch->interval_ns();
      history.pop_front();
    }
  }

  // What comes next does not go on where this ended.
  void BeginAnew() {
    windows = {};
    history.clear();
    history_ns = 0;
  }
};

}  // namespace faultline::server
