// What the driver sends to other members: the core's messages, completed with entries (snapshots:
// driver_snapshots.cc), and some of its own.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "raft/driver.h"
#include "raft/filters.h"

namespace faultline::raft {
namespace {

// Entries in one AppendEntries; a longer run goes as several messages.
constexpr size_t kMaxAppendBytes = 1 << 20;

}  // namespace

// A rejection of what the member once had is late, and then this does no harm; or the member lost
// the end of its log on a disk that does not keep its promises, and the core would never send it
// again.
void Driver::Repair(const Member& to, const pb::AppendResult& rejection) {
  const uint64_t prev_index = rejection.last_index();
  if (status_.role != Role::kLeader || rejection.rejected() > log_.last_index() ||
      prev_index >= rejection.rejected() || prev_index < log_.first_index()) {
    return;
  }
  OutgoingMessage out;
  out.to = to;
  out.message.set_to_id(to.id);
  out.message.set_term(status_.term);
  auto* append = out.message.mutable_append_entries();
  append->set_prev_index(prev_index);
  append->set_prev_term(log_.At(prev_index)->term());
  append->set_leader_commit(status_.commit_index);
  out.entry_count = static_cast<uint32_t>(rejection.rejected() - prev_index);
  SendAppend(std::move(out));
}

void Driver::AskLeadership() {
  const uint64_t retry_ns = timeouts_.heartbeat_ms * kNanosPerMilli;
  const uint64_t now_ns = host_->NowNs();
  if (!quorum_.ShouldAsk(now_ns, retry_ns)) return;
  for (const Member& member : members_) {
    if (member.id == options_.id || member.learner) continue;
    pb::PeerMessage query;
    query.set_to_id(member.id);
    query.set_term(status_.term);
    query.mutable_leadership_query()->set_sent_ns(now_ns);
    SendOut(member, query);
  }
}

void Driver::TellCommitted() {
  if (status_.role != Role::kLeader) return;
  for (const Member& member : members_) {
    if (member.id == options_.id) continue;
    const uint64_t match = core_->MatchIndex(member.id);
    const uint64_t committed = std::min(match, status_.commit_index);
    if (committed <= told_[member.id]) continue;
    told_[member.id] = committed;
    if (match < log_.first_index() || match > log_.last_index()) continue;
    pb::PeerMessage message;
    message.set_to_id(member.id);
    message.set_term(status_.term);
    pb::AppendEntries* append = message.mutable_append_entries();
    append->set_prev_index(match);
    append->set_prev_term(log_.At(match)->term());
    append->set_leader_commit(committed);
    append->set_sent_ns(host_->NowNs());
    append->set_round_trip_us(RoundTripUs());
    SendOut(member, message);
  }
}

void Driver::SendAll(std::vector<OutgoingMessage> messages) {
  for (OutgoingMessage& out : messages) {
    switch (out.message.body_case()) {
      case pb::PeerMessage::kAppendEntries:
        SendAppend(std::move(out));
        continue;
      case pb::PeerMessage::kInstallSnapshot:
        SendSnapshot(std::move(out));
        continue;
      case pb::PeerMessage::kAppendResult:
        if (out.message.term() == stamp_.term && out.to.id == stamp_.leader_id) {
          out.message.mutable_append_result()->set_echo_sent_ns(stamp_.sent_ns);
        }
        break;
      case pb::PeerMessage::kVoteRequest:
        out.message.mutable_vote_request()->set_sent_ns(host_->NowNs());
        out.message.set_from_address(OwnAddress());
        break;
      case pb::PeerMessage::kVoteResult:
        out.message.mutable_vote_result()->set_echo_sent_ns(vote_request_sent_ns_);
        TellRealTerm(status_.term, &out.message);
        break;
      case pb::PeerMessage::kTimeoutNow:
        out.message.set_from_address(OwnAddress());
        break;
      default:
        break;
    }
    SendOut(out.to, out.message);
  }
}

void Driver::SendAppend(OutgoingMessage out) {
  pb::AppendEntries* append = out.message.mutable_append_entries();
  append->set_sent_ns(host_->NowNs());
  append->set_round_trip_us(RoundTripUs());
  // Until it has the newest configuration, a member may not know us.
  if (core_->MatchIndex(out.to.id) < configurations_.latest_index()) {
    out.message.set_from_address(OwnAddress());
  }
  size_t size_bytes = 0;
  uint64_t index = append->prev_index();
  const uint64_t last = index + out.entry_count;
  uint64_t& told = told_[out.to.id];
  told = std::max(told, std::min<uint64_t>(append->leader_commit(), last));
  if (index == last) return SendOut(out.to, out.message);
  for (uint64_t first = index + 1; index < last;) {
    const EntryPtr& entry = log_.At(++index);
    size_bytes += entry->data().size();
    if (size_bytes < kMaxAppendBytes && index < last) continue;
    SendOut(out.to, out.message, Encoded(first, index));
    append->set_prev_index(index);
    append->set_prev_term(entry->term());
    first = index + 1;
    size_bytes = 0;
  }
}

const std::string& Driver::Encoded(uint64_t first, uint64_t last) {
  const uint64_t last_term = log_.At(last)->term();
  if (encoded_.first == first && encoded_.last == last && encoded_.last_term == last_term) {
    return encoded_.bytes;
  }
  pb::PeerMessage part;
  auto* entries = part.mutable_append_entries()->mutable_entries();
  for (uint64_t index = first; index <= last; ++index) *entries->Add() = *log_.At(index);
  encoded_ = {first, last, last_term, part.SerializeAsString()};
  return encoded_.bytes;
}

std::string Driver::OwnAddress() const {
  const Member* self = FindMember(options_.id);
  return self == nullptr ? std::string() : self->address;
}

void Driver::SendOut(const Member& to, const pb::PeerMessage& message, std::string_view more) {
  // While the disk refuses: no leader, no candidate, and nothing that would pile up behind it.
  const bool silent = status_.role != Role::kFollower || writes_.holding();
  if (!storage_problem_.ok() && silent && !message.has_timeout_now()) return;
  std::string bytes = message.SerializeAsString();
  bytes += more;  // read as one: messages behind one another are merged
  if (writes_.MaySend(to, &bytes)) host_->Send(to, std::move(bytes));
}

}  // namespace faultline::raft
