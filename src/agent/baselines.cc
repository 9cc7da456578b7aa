#include "agent/baselines.h"

namespace faultline::agent {

void Baselines::SetKept(std::chrono::milliseconds kept) {
  if (kept.count() == 0) return;
  kept_ = kept;
  for (auto& [id, baseline] : targets_) baseline.SetKept(kept);
}

void Baselines::Add(const chaos::v1::MetricsBatch& batch) {
  const BatchTime when = TimeOf(batch);
  for (const auto& sample : batch.samples()) {
    targets_.try_emplace(sample.target_id(), kept_).first->second.Add(sample, when);
  }
}

void Baselines::Give(chaos::v1::AgentHello* hello) const {
  size_t bytes = 0;
  for (const bool with_fault : {true, false}) {
    for (const auto& [id, baseline] : targets_) {
      const chaos::v1::TargetBaseline& kept = baseline.kept();
      if (kept.faults().empty() == with_fault) continue;
      const size_t more = kept.ByteSizeLong() + id.size();
      if (bytes + more > kMaxGivenBytes) continue;
      bytes += more;
      auto* given = hello->add_baselines();
      *given = kept;
      given->set_target_id(id);
    }
  }
}

}  // namespace faultline::agent
