#include "raft/quorum_clock.h"

#include <algorithm>
#include <utility>

namespace faultline::raft {

void QuorumClock::Begin(const std::vector<uint64_t>& others) {
  acknowledged_ns_.clear();
  for (const uint64_t member : others) acknowledged_ns_[member] = 0;
  leading_ = true;
  question_ns_ = 0;
  Update();
}

void QuorumClock::SetOthers(const std::vector<uint64_t>& others) {
  if (!leading_) return;
  std::map<uint64_t, uint64_t> next;
  for (const uint64_t member : others) {
    const auto found = acknowledged_ns_.find(member);
    next[member] = found == acknowledged_ns_.end() ? 0 : found->second;
  }
  acknowledged_ns_ = std::move(next);
  Update();
}

void QuorumClock::End() {
  leading_ = false;
  acknowledged_ns_.clear();
  quorum_ns_ = 0;
}

void QuorumClock::Acknowledge(uint64_t member, uint64_t sent_ns) {
  const auto found = acknowledged_ns_.find(member);
  if (found == acknowledged_ns_.end() || found->second >= sent_ns) return;
  found->second = sent_ns;
  Update();
}

void QuorumClock::Update() {
  // Members are this node and the others: a majority needs so many of the others.
  const size_t needed = (acknowledged_ns_.size() + 1) / 2;
  if (needed == 0) {
    quorum_ns_ = leading_ ? kAlways : 0;
    return;
  }
  std::vector<uint64_t> times;
  times.reserve(acknowledged_ns_.size());
  for (const auto& [member, time] : acknowledged_ns_) times.push_back(time);
  const auto nth = times.begin() + static_cast<ptrdiff_t>(needed - 1);
  std::nth_element(times.begin(), nth, times.end(), std::greater<>());
  quorum_ns_ = *nth;
}

void QuorumClock::AddReader(uint64_t asked_ns, uint64_t index, std::function<void(Status)> done) {
  readers_.push_back({asked_ns, index, std::move(done)});
}

void QuorumClock::Finish(uint64_t applied_index) {
  while (!readers_.empty() && readers_.front().asked_ns <= quorum_ns_ &&
         readers_.front().index <= applied_index) {
    const Reader reader = std::move(readers_.front());
    readers_.pop_front();
    reader.done(absl::OkStatus());
  }
}

void QuorumClock::FailReaders(const Status& status) {
  for (const Reader& reader : std::exchange(readers_, {})) reader.done(status);
}

bool QuorumClock::ShouldAsk(uint64_t now_ns, uint64_t retry_ns) {
  if (readers_.empty() || readers_.back().asked_ns <= quorum_ns_) return false;
  const bool answered = quorum_ns_ >= question_ns_;
  if (!answered && now_ns < question_ns_ + retry_ns) return false;
  question_ns_ = now_ns;
  return true;
}

}  // namespace faultline::raft
