#include "client/resume.h"

#include <algorithm>

namespace faultline::client {

bool MetricResume::Accept(chaos::v1::MetricUpdate* update) {
  if (!update->has_position()) return true;
  const auto& position = update->position();
  const Source source(position.agent_id(), position.incarnation());
  const bool is_new = !sources_.contains(source);
  SourceState& state = sources_[source];
  state.last_accepted = ++accepts_;
  if (is_new) ForgetOldIncarnations(source.first);
  uint64_t& delivered = state.delivered[{update->experiment_id(), update->target_id()}];
  if (position.sequence() <= delivered) return false;
  delivered = position.sequence();
  state.newest = std::max(state.newest, delivered);
  return true;
}

void MetricResume::ForgetOldIncarnations(const std::string& agent_id) {
  const auto begin = sources_.lower_bound({agent_id, 0});
  auto end = begin, oldest = begin;
  size_t count = 0;
  for (; end != sources_.end() && end->first.first == agent_id; ++end, ++count) {
    if (end->second.last_accepted < oldest->second.last_accepted) oldest = end;
  }
  if (count > kIncarnationsKept) sources_.erase(oldest);
}

void MetricResume::FillIn(chaos::v1::SubscribeToMetricsRequest* request) const {
  auto* positions = request->mutable_resume();
  for (int i = positions->size() - 1; i >= 0; --i) {
    const auto& position = positions->Get(i);
    if (sources_.contains({position.agent_id(), position.incarnation()})) {
      positions->DeleteSubrange(i, 1);
    }
  }
  for (const auto& [source, state] : sources_) {
    uint64_t reached = state.newest;
    for (const auto& [series, sequence] : state.delivered) {
      if (sequence + kSilentAfterBatches >= state.newest) reached = std::min(reached, sequence);
    }
    auto* position = positions->Add();
    position->set_agent_id(source.first);
    position->set_incarnation(source.second);
    position->set_sequence(reached);
  }
}

bool WatchResume::Accept(chaos::v1::WatchExperimentsResponse* message) {
  list_again_ = false;
  if (!message->cluster_id().empty()) cluster_id_ = message->cluster_id();
  const bool first_state = message->experiments().empty() && !any_;
  any_ = true;
  auto* experiments = message->mutable_experiments();
  for (int i = experiments->size() - 1; i >= 0; --i) {
    const auto& experiment = experiments->Get(i);
    uint64_t& known = delivered_[experiment.experiment_id()];
    if (experiment.revision() <= std::max(known, complete_revision_)) {
      experiments->DeleteSubrange(i, 1);
    } else {
      known = experiment.revision();
    }
  }
  const uint64_t complete = message->revision() - (message->partial() ? 1 : 0);
  complete_revision_ = std::max(complete_revision_, complete);
  std::erase_if(delivered_,
                [this](const auto& entry) { return entry.second <= complete_revision_; });
  return !experiments->empty() || first_state;
}

void WatchResume::FillIn(chaos::v1::WatchExperimentsRequest* request) const {
  request->set_cluster_id(cluster_id_);
  if (list_again_) {
    request->set_after_revision(0);
  } else {
    request->set_after_revision(std::max(request->after_revision(), complete_revision_));
  }
}

bool WatchResume::Recover(const Status& status) {
  const auto detail = DetailOf(status);
  if (list_again_ || !detail) return false;
  if (detail->reason() == "OTHER_CLUSTER") {
    *this = WatchResume();
  } else if (detail->reason() != "COMPACTED") {
    return false;
  }
  list_again_ = true;
  return true;
}

}  // namespace faultline::client
