#include "server/authority.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kLongestInterval{1'000};
constexpr std::chrono::milliseconds kRetry{50};
constexpr uint64_t kReportNs = kNanosPerSecond;
// Answers that wait to be used; more are not needed, since each is as good as those before it.
constexpr size_t kMaxSamples = 8;

}  // namespace

Authority::Authority(uint64_t node_id, Strand* strand, ControlPlane* plane, Peers* peers,
                     Scheduler* scheduler, std::chrono::milliseconds lease, Callbacks callbacks)
    : node_id_(node_id),
      strand_(strand),
      plane_(plane),
      peers_(peers),
      scheduler_(scheduler),
      interval_(std::min(kLongestInterval, lease / 10)),
      callbacks_(std::move(callbacks)) {}

void Authority::Start() {
  strand_->Post([this] { Tick(); });
}

void Authority::Tick() {
  Report();
  strand_->PostAfter(interval_, [this] { Tick(); });
}

void Authority::Ask() { Report(); }

void Authority::OnApplied() {
  if (waiting_) strand_->Post([this] { UseSamples(); });
}

void Authority::Report() {
  if (reporting_) {
    again_ = true;
    return;
  }
  const raft::View view = plane_->view();
  if (view.leader_id == 0 && view.role != raft::Role::kLeader) return;
  Sample sample;
  v1::ReportSessionsRequest request;
  request.set_node_id(node_id_);
  for (const Session& session : callbacks_.sessions()) {
    sample.ids.push_back(session.id);
    auto* reported = request.add_sessions();
    reported->set_agent_id(session.agent_id);
    reported->set_incarnation(session.incarnation);
    reported->set_silent_ns(session.silent_ns);
  }
  if (sample.ids.empty()) return;
  reporting_ = true;
  again_ = false;
  sample.sent_ns = BoottimeNowNs();
  auto done = [this, sample](const StatusOr<v1::ReportSessionsResponse>& response) {
    strand_->Post([this, sample, response] { Take(sample, response); });
  };
  if (view.role == raft::Role::kLeader) return scheduler_->ReportSessions(request, done);
  peers_->ReportSessions(view.leader_id, request, MonotonicNowNs() + kReportNs, done);
}

void Authority::Take(Sample sample, const StatusOr<v1::ReportSessionsResponse>& response) {
  reporting_ = false;
  if (response.ok()) {
    sample.authority_ns = sample.sent_ns - std::min(sample.sent_ns, response->quorum_age_ns());
    sample.revision = response->revision();
    samples_.push_back(std::move(sample));
    if (samples_.size() > kMaxSamples) samples_.pop_front();
    waiting_ = true;
    UseSamples();
    if (again_) Report();
    return;
  }
  if (std::exchange(retrying_, true)) return;
  strand_->PostAfter(kRetry, [this] {
    retrying_ = false;
    Report();
  });
}

void Authority::UseSamples() {
  const uint64_t applied = plane_->version().revision();
  while (!samples_.empty() && samples_.front().revision <= applied) {
    const Sample sample = std::move(samples_.front());
    samples_.pop_front();
    callbacks_.granted(sample.ids, sample.authority_ns);
  }
  waiting_ = !samples_.empty();
}

}  // namespace faultline::server
