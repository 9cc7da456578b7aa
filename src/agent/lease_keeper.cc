#include "agent/lease_keeper.h"

#include <algorithm>

#include "base/clock.h"

namespace faultline::agent {
namespace {

constexpr size_t kMaxUnanswered = 256;

uint64_t LengthNs(const google::protobuf::Duration& length) {
  if (length.seconds() < 0 || length.nanos() < 0) return 0;
  if (length.seconds() > 3600) return UINT64_MAX;
  return static_cast<uint64_t>(length.seconds()) * kNanosPerSecond +
         static_cast<uint64_t>(length.nanos());
}

}  // namespace

void LeaseKeeper::OnConnected(uint64_t now_ns) {
  sent_.clear();
  renewal_due_ns_ = now_ns;
  unanswered_since_ns_ = now_ns;
}

void LeaseKeeper::OnRenewalSent(uint64_t sent_ns) {
  if (sent_.size() == kMaxUnanswered) sent_.erase(sent_.begin());
  sent_.insert(sent_ns);
  renewal_due_ns_ = sent_ns + kRetryNs;
  if (unanswered_since_ns_ == 0) unanswered_since_ns_ = sent_ns;
}

Status LeaseKeeper::CheckVersion(const chaos::v1::StateVersion& version, const Version& newest,
                                 uint64_t now_ns) const {
  if (version.cluster_id() != cluster_id_) {
    if (!Held(now_ns)) return absl::OkStatus();
    return MakeError(StatusCode::kFailedPrecondition,
                     "of cluster '{}', but this agent holds a lease of cluster '{}'",
                     version.cluster_id(), cluster_id_);
  }
  if (Version{version.term(), version.revision()} < newest) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "of term {} revision {}, older than {} {} which was already taken",
                     version.term(), version.revision(), newest.term, newest.revision);
  }
  return absl::OkStatus();
}

void LeaseKeeper::Follow(const std::string& cluster_id) {
  if (cluster_id == cluster_id_) return;
  cluster_id_ = cluster_id;
  newest_ = newest_desired_ = {};
}

Status LeaseKeeper::OnGrant(const chaos::v1::LeaseGrant& grant, uint64_t now_ns) {
  FL_RETURN_IF_ERROR(CheckVersion(grant.version(), newest_, now_ns));
  if (!cluster_id_.empty() && grant.version().cluster_id() != cluster_id_) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "of cluster '{}', whose desired state was not taken",
                     grant.version().cluster_id());
  }
  const uint64_t sent_ns = grant.sent_boottime_ns();
  if (!sent_.contains(sent_ns)) {
    return MakeError(StatusCode::kFailedPrecondition, "answers no renewal of this connection");
  }
  const uint64_t lease_ns = LengthNs(grant.lease());
  if (lease_ns < kNanosPerMilli || lease_ns > 3600 * kNanosPerSecond) {
    return MakeError(StatusCode::kFailedPrecondition, "its length is not 1 ms to 1 h");
  }
  Follow(grant.version().cluster_id());
  newest_ = {grant.version().term(), grant.version().revision()};
  sent_.erase(sent_.begin(), sent_.upper_bound(sent_ns));
  until_ns_ = std::max(until_ns_, sent_ns + lease_ns);
  lease_ns_ = lease_ns;
  renewal_due_ns_ = sent_ns + lease_ns_ / 4;
  unanswered_since_ns_ = 0;
  return absl::OkStatus();
}

Status LeaseKeeper::OnDesired(const chaos::v1::StateVersion& version, uint64_t now_ns) {
  FL_RETURN_IF_ERROR(CheckVersion(version, newest_desired_, now_ns));
  Follow(version.cluster_id());
  newest_desired_ = {version.term(), version.revision()};
  newest_ = std::max(newest_, newest_desired_);
  return absl::OkStatus();
}

bool LeaseKeeper::NodeIsSilent(uint64_t now_ns) const {
  const uint64_t silence_ns =
      lease_ns_ == 0 ? kLongestSilenceNs
                     : std::clamp(lease_ns_ / 3, kShortestSilenceNs, kLongestSilenceNs);
  return unanswered_since_ns_ != 0 && now_ns > unanswered_since_ns_ + silence_ns;
}

}  // namespace faultline::agent
