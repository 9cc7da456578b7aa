#include "server/version_switch.h"

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"

namespace faultline::server {
namespace {

constexpr std::chrono::seconds kEvery{1};
// A member that has said nothing for so long may be another program by now.
constexpr uint64_t kBelievedNs = 5 * kNanosPerSecond;
// When it is told first that a member holds the version back, and when again.
constexpr uint64_t kHeldNs = 10 * kNanosPerSecond;
constexpr uint64_t kTellAgainNs = 600 * kNanosPerSecond;

bool SpokeLately(uint64_t at_ns, uint64_t now_ns) {
  return at_ns != 0 && now_ns - at_ns < kBelievedNs;
}

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
    common = std::min(common, SpokeLately(word.at_ns, now_ns) ? word.version : 0);
  }
  return common;
}

void VersionSwitch::TellWhoHoldsBack(uint32_t version, uint64_t now_ns) {
  if (held_since_ns_ == 0) held_since_ns_ = now_ns;
  if (now_ns - held_since_ns_ < kHeldNs) return;
  if (told_ns_ != 0 && now_ns - told_ns_ < kTellAgainNs) return;
  told_ns_ = now_ns;
  std::string who;
  {
    const std::lock_guard lock(mutex_);
    for (const uint64_t member : members_) {
      const Word& word = words_[member];
      const bool speaks = SpokeLately(word.at_ns, now_ns);
      if (speaks && word.version > version) continue;
      who += fmt::format(
          "{}node {} {}", who.empty() ? "" : ", ", member,
          speaks ? fmt::format("knows versions up to {}", word.version) : "has not been heard of");
    }
  }
  FL_LOG(warn,
         "the cluster stays at version {} of {} until every member can apply a later one, and does "
         "without what came after it: {}",
         version, plane_->supported_version(), who);
}

void VersionSwitch::Tick() {
  strand_->PostAfter(kEvery, [this] { Tick(); });
  if (plane_->view().role != raft::Role::kLeader) {
    held_since_ns_ = told_ns_ = 0;
    return;
  }
  if (proposing_) return;
  const uint64_t now_ns = MonotonicNowNs();
  const auto [version, ready] = plane_->With([](const control::State& state, const auto&) {
    return std::pair(state.version, !state.cluster_id.empty());
  });
  const uint32_t common = CommonVersion(now_ns);
  if (ready && common <= version && version < plane_->supported_version()) {
    TellWhoHoldsBack(version, now_ns);
  } else {
    held_since_ns_ = told_ns_ = 0;
  }
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
