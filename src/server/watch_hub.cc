#include "server/watch_hub.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace faultline::server {

using chaos::v1::Experiment;
using chaos::v1::WatchExperimentsResponse;

namespace {

// Experiments looked at while the state is locked.
constexpr int kListSteps = 2'000;

Status Compacted(uint64_t revision, uint64_t compact_revision) {
  return MakeDetailedError(
      StatusCode::kOutOfRange, "COMPACTED",
      fmt::format(
          "changes after revision {} are asked for, and this node keeps only those after {}: "
          "list again",
          revision, compact_revision),
      {{"compact_revision", fmt::format("{}", compact_revision)}});
}

Status OtherCluster(const std::string& wanted, const std::string& own) {
  return MakeDetailedError(
      StatusCode::kFailedPrecondition, "OTHER_CLUSTER",
      fmt::format("a revision of cluster {} means nothing in cluster {}: list again", wanted, own),
      {{"cluster_id", own}});
}

}  // namespace

class WatchHub::WatcherImpl final : public Watcher {
 public:
  WatcherImpl(WatchHub* hub, const chaos::v1::WatchExperimentsRequest& request)
      : hub_(hub),
        ids_(request.experiment_ids().begin(), request.experiment_ids().end()),
        revision_(request.after_revision()),
        cluster_id_(request.cluster_id()),
        listing_(request.after_revision() == 0),
        told_revision_(request.after_revision()) {}

  ~WatcherImpl() override {
    const std::lock_guard lock(hub_->mutex_);
    hub_->watchers_.erase(this);
  }

  StatusOr<std::optional<WatchExperimentsResponse>> Next() override {
    FL_RETURN_IF_ERROR(CheckCluster());
    while (true) {
      if (rest_) return Part();
      if (listing_) {
        if (auto chunk = List()) return chunk;
        continue;
      }
      FL_ASSIGN_OR_RETURN(const auto change, hub_->After(revision_));
      if (!change) return std::nullopt;
      revision_ = change->revision;
      const auto wants = [this](const auto& experiment) { return Wants(*experiment); };
      if (std::any_of(change->experiments.begin(), change->experiments.end(), wants)) {
        rest_ = *change;
        position_ = 0;
        continue;
      }
      if (revision_ - told_revision_ >= kBookmarkEvery) return Message(revision_);
    }
  }

 private:
  bool Wants(const Experiment& experiment) const {
    return ids_.empty() || ids_.contains(experiment.experiment_id());
  }

  Status CheckCluster() {
    if (!first_) return absl::OkStatus();
    const std::string own = hub_->plane_->version().cluster_id();
    if (!cluster_id_.empty() && !own.empty() && cluster_id_ != own) {
      return OtherCluster(cluster_id_, own);
    }
    if (!own.empty()) cluster_id_ = own;
    return absl::OkStatus();
  }

  WatchExperimentsResponse Message(uint64_t revision) {
    first_ = false;
    told_revision_ = revision;
    WatchExperimentsResponse response;
    response.set_revision(revision);
    response.set_cluster_id(cluster_id_);
    return response;
  }

  // What follows of rest_, as much as one message holds.
  WatchExperimentsResponse Part() {
    WatchExperimentsResponse response = Message(rest_->revision);
    size_t size_bytes = 0;
    const auto& experiments = rest_->experiments;
    while (position_ < experiments.size() && response.experiments_size() < kChunk &&
           size_bytes < kChunkBytes) {
      const auto& experiment = experiments[position_++];
      if (!Wants(*experiment)) continue;
      size_bytes += experiment->ByteSizeLong();
      *response.add_experiments() = *experiment;
    }
    const auto more = std::find_if(experiments.begin() + static_cast<ptrdiff_t>(position_),
                                   experiments.end(), [this](const auto& e) { return Wants(*e); });
    response.set_partial(more != experiments.end());
    if (!response.partial()) rest_.reset();
    return response;
  }

  // The next part of the state, in order of the experiments' own revisions. What changes meanwhile
  // moves to the end, and is told there; the last part is complete up to the state's revision.
  // Nothing: there was nothing to tell in this part.
  std::optional<WatchExperimentsResponse> List() {
    std::vector<Experiment> part;
    size_t size_bytes = 0;
    bool partial = false;
    hub_->plane_->With([&](const control::State& state, const auto& version) {
      auto at = state.by_revision.upper_bound({revision_, listed_index_});
      for (int steps = 0; at != state.by_revision.end() && steps < kListSteps; ++at, ++steps) {
        if (part.size() >= kChunk || size_bytes >= kChunkBytes) break;
        std::tie(revision_, listed_index_) = *at;
        const auto& experiment = state.experiments.at(at->second).experiment();
        if (!Wants(experiment)) continue;
        size_bytes += experiment.ByteSizeLong();
        part.push_back(experiment);
      }
      listing_ = at != state.by_revision.end();
      partial = listing_ && at->first == revision_;
      if (!listing_) revision_ = std::max(revision_, version.revision());
    });
    if (part.empty() && (listing_ || (!first_ && told_revision_ == revision_))) return std::nullopt;
    WatchExperimentsResponse response = Message(revision_);
    response.set_partial(partial);
    for (auto& experiment : part) *response.add_experiments() = std::move(experiment);
    return response;
  }

  WatchHub* const hub_;
  const std::set<std::string> ids_;
  uint64_t revision_;  // read up to here
  std::string cluster_id_;
  bool listing_;
  bool first_ = true;           // nothing is told yet
  uint64_t listed_index_ = 0;   // created_index of the last experiment listed
  uint64_t told_revision_;      // of the newest message
  std::optional<Change> rest_;  // is being told
  size_t position_ = 0;         // in its experiments
};

std::unique_ptr<WatchHub::Watcher> WatchHub::Watch(
    const chaos::v1::WatchExperimentsRequest& request, std::function<void()> on_change) {
  auto watcher = std::make_unique<WatcherImpl>(this, request);
  const std::lock_guard lock(mutex_);
  watchers_[watcher.get()] = std::make_shared<const std::function<void()>>(std::move(on_change));
  return watcher;
}

StatusOr<std::optional<Change>> WatchHub::After(uint64_t revision) const {
  const std::lock_guard lock(mutex_);
  if (revision < forgotten_revision_) return Compacted(revision, forgotten_revision_);
  const auto next = std::upper_bound(
      history_.begin(), history_.end(), revision,
      [](uint64_t wanted, const Kept& kept) { return wanted < kept.change.revision; });
  if (next == history_.end()) return std::nullopt;
  return next->change;
}

void WatchHub::Keep(const Change& change) {
  Kept kept{change, 0};
  for (const auto& experiment : change.experiments) kept.size_bytes += experiment->ByteSizeLong();
  kept_bytes_ += kept.size_bytes;
  kept_count_ += change.experiments.size();
  history_.push_back(std::move(kept));
  while (history_.size() > 1 && (kept_count_ > kHistory || kept_bytes_ > kHistoryBytes)) {
    const Kept& oldest = history_.front();
    forgotten_revision_ = oldest.change.revision;
    kept_bytes_ -= oldest.size_bytes;
    kept_count_ -= oldest.change.experiments.size();
    history_.pop_front();
  }
}

void WatchHub::ForgetUpTo(uint64_t revision) {
  history_.clear();
  kept_count_ = kept_bytes_ = 0;
  forgotten_revision_ = revision;
}

void WatchHub::OnChange(const Change& change) {
  if (change.experiments.empty() && !change.forgotten && !change.restored) return;
  uint64_t last_change = 0;
  if (change.restored) {
    // Since this revision no experiment has changed: nothing after it is missing, since what is
    // forgotten had ended before what is kept.
    last_change = plane_->With([](const control::State& state, const auto&) {
      return state.by_revision.empty() ? 0 : state.by_revision.rbegin()->first;
    });
  }
  {
    const std::lock_guard lock(mutex_);
    if (change.restored) {
      ForgetUpTo(last_change);
    } else if (change.forgotten) {
      ForgetUpTo(change.revision);
    } else {
      Keep(change);
    }
    if (watchers_.empty() || std::exchange(waking_, true)) return;
  }
  if (waker_->Post([this] { WakeAll(); })) return;
  const std::lock_guard lock(mutex_);
  waking_ = false;
}

void WatchHub::WakeAll() {
  std::vector<OnReady> ready;
  {
    const std::lock_guard lock(mutex_);
    waking_ = false;
    for (const auto& [watcher, on_change] : watchers_) ready.push_back(on_change);
  }
  for (const auto& on_change : ready) (*on_change)();
}

}  // namespace faultline::server
