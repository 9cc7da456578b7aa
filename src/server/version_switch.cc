#include "server/version_switch.h"

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"

namespace faultline::server {
namespace {

constexpr std::chrono::seconds kEvery{1};
// A member that has said nothing for so long may be another program by now.
constexpr uint64_t kBelievedNs = 5 * kNanosPerSecond;

}  // namespace

VersionSwitch::VersionSwitch(uint64_t node_id, Strand* strand, ControlPlane* plane)
    : node_id_(node_id), strand_(strand), plane_(plane) {}

void VersionSwitch::SetMembers(std::vector<uint64_t> ids) {
  const std::lock_guard lock(mutex_);
  members_ = std::move(ids);
}

void VersionSwitch::Report(uint64_t node_id, uint32_t version) {
  const std::lock_guard lock(mutex_);
  words_[node_id] = {version, MonotonicNowNs()};
}

void VersionSwitch::Start() {
  strand_->PostAfter(kEvery, [this] { Tick(); });
}

uint32_t VersionSwitch::CommonVersion(uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  words_[node_id_] = {plane_->supported_version(), now_ns};
  uint32_t common = members_.empty() ? 0 : UINT32_MAX;
  for (const uint64_t member : members_) {
    const Word& word = words_[member];
    const bool lately = word.at_ns != 0 && now_ns - word.at_ns < kBelievedNs;
    common = std::min(common, lately ? word.version : 0);
  }
  return common;
}

void VersionSwitch::Tick() {
  strand_->PostAfter(kEvery, [this] { Tick(); });
  if (proposing_ || plane_->view().role != raft::Role::kLeader) return;
  const uint64_t now_ns = MonotonicNowNs();
  const auto [version, ready] = plane_->With([](const control::State& state, const auto&) {
    return std::pair(state.version, !state.cluster_id.empty());
  });
  const uint32_t common = CommonVersion(now_ns);
  if (!ready || common <= version) return;
  FL_LOG(info, "every member can apply version {}: the cluster switches to it", common);
  control::v1::Command command;
  command.mutable_raise_version()->set_version(common);
  proposing_ = true;
  plane_->Propose(std::move(command), now_ns + kBelievedNs, [this](const auto& proposed) {
    if (!proposed.ok()) {
      FL_LOG(warn, "the cluster's version stays: {}", ToString(proposed.status().message()));
    }
    strand_->Post([this] { proposing_ = false; });
  });
}

}  // namespace faultline::server
