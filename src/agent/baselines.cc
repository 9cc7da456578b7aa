#include "agent/baselines.h"

namespace faultline::agent {

void Baselines::SetKept(std::chrono::milliseconds kept) {
  if (kept.count() == 0) return;
  kept_ = kept;
  for (auto& [id, baseline] : targets_) baseline.SetKept(kept);
}

void Baselines::Add(const chaos::v1::MetricsBatch& batch) {
  const BatchTime when = TimeOf(batch);
  sequence_ = when.sequence;
  for (const auto& sample : batch.samples()) {
    targets_.try_emplace(sample.target_id(), kept_).first->second.Add(sample, when);
  }
}

std::vector<chaos::v1::AgentBaselines> Baselines::Give() const {
  std::vector<chaos::v1::AgentBaselines> messages;
  size_t given_bytes = 0, message_bytes = 0;
  for (const bool with_fault : {true, false}) {
    for (const auto& [id, baseline] : targets_) {
      const chaos::v1::TargetBaseline& kept = baseline.kept();
      if (kept.faults().empty() == with_fault) continue;
      const size_t more = kept.ByteSizeLong() + id.size();
      if (given_bytes + more > kMaxGivenBytes) continue;
      given_bytes += more;
      if (messages.empty() || message_bytes + more > kMaxMessageBytes) {
        messages.emplace_back().set_metrics_sequence(sequence_);
        message_bytes = 0;
      }
      message_bytes += more;
      auto* given = messages.back().add_targets();
      *given = kept;
      given->set_target_id(id);
    }
  }
  return messages;
}

}  // namespace faultline::agent
