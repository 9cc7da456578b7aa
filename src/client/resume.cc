#include "client/resume.h"

#include <algorithm>

namespace faultline::client {

namespace {

// The node counted from where it was asked to begin, or knows nothing of what is lost.
void CountFrom(uint64_t delivered, chaos::v1::MetricUpdate* update) {
  const uint64_t before = update->position().sequence() - delivered - 1;
  update->set_merged_batches(std::min(update->merged_batches(), before));
  update->set_missed_batches(before - update->merged_batches());
}

template <typename T, typename Unwanted>
void EraseIf(google::protobuf::RepeatedPtrField<T>* list, Unwanted is_unwanted) {
  list->erase(std::remove_if(list->begin(), list->end(), is_unwanted), list->end());
}

}  // namespace

bool MetricResume::Accept(chaos::v1::MetricUpdate* update) {
  if (ended_.contains(update->experiment_id())) return false;
  if (update->has_end()) ended_.insert(update->experiment_id());
  if (!update->has_position()) return true;
  const auto& position = update->position();
  const Source source(position.agent_id(), position.incarnation());
  const bool is_new = !sources_.contains(source);
  SourceState& state = sources_[source];
  state.last_accepted = ++accepts_;
  if (is_new) ForgetOldIncarnations(source.first);
  state.ForgetSilentSeries();
  SeriesState& series = state.series[{update->experiment_id(), update->target_id()}];
  if (position.sequence() <= series.delivered) return false;
  if (series.delivered != 0 && series.stream != streams_) CountFrom(series.delivered, update);
  series = {position.sequence(), streams_};
  state.newest = std::max(state.newest, series.delivered);
  return true;
}

// Looks when the series have doubled.
void MetricResume::SourceState::ForgetSilentSeries() {
  if (series.size() < look_at) return;
  std::erase_if(series, [this](const auto& entry) { return IsSilent(entry.second); });
  look_at = std::max(kLeastSeries, 2 * series.size());
}

size_t MetricResume::series() const {
  size_t sum = 0;
  for (const auto& [source, state] : sources_) sum += state.series.size();
  return sum;
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

// Unless nothing else is asked for: that stream is to end as it would have.
void MetricResume::LeaveOutEnded(chaos::v1::SubscribeToMetricsRequest* request) const {
  const auto is_ended = [this](const std::string& id) { return ended_.contains(id); };
  auto* ids = request->mutable_experiment_ids();
  const bool one_left = !request->experiment_id().empty() && !is_ended(request->experiment_id());
  const bool rest = request->all() || !request->target().empty() || one_left;
  if (!rest && std::all_of(ids->begin(), ids->end(), is_ended)) return;
  EraseIf(ids, is_ended);
  if (!one_left) request->clear_experiment_id();
}

void MetricResume::FillIn(chaos::v1::SubscribeToMetricsRequest* request) {
  ++streams_;
  LeaveOutEnded(request);
  auto* positions = request->mutable_resume();
  auto* further = request->mutable_resume_series();
  const auto is_known = [this](const chaos::v1::SourcePosition& position) {
    return sources_.contains({position.agent_id(), position.incarnation()});
  };
  EraseIf(positions, is_known);
  EraseIf(further, [&](const auto& series) { return is_known(series.position()); });
  for (const auto& [source, state] : sources_) {
    uint64_t reached = state.newest;
    for (const auto& [name, series] : state.series) {
      if (!state.IsSilent(series)) reached = std::min(reached, series.delivered);
    }
    auto* position = positions->Add();
    position->set_agent_id(source.first);
    position->set_incarnation(source.second);
    position->set_sequence(reached);
    for (const auto& [name, series] : state.series) {
      if (series.delivered <= reached || ended_.contains(name.first)) continue;
      if (further->size() >= kMostSeriesTold) break;
      auto* one = further->Add();
      one->set_experiment_id(name.first);
      one->set_target_id(name.second);
      *one->mutable_position() = *position;
      one->mutable_position()->set_sequence(series.delivered);
    }
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
