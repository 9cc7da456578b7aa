// What other members send to the driver: it goes through the filters into the core.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "raft/driver.h"
#include "raft/filters.h"

namespace faultline::raft {
namespace {

// Between two lines of the log that say that this node is no member.
constexpr uint64_t kNotMemberLogNs = 60 * kNanosPerSecond;

}  // namespace

void Driver::Receive(uint64_t from_id, std::string_view bytes) {
  if (!failure_.ok()) return;
  pb::PeerMessage message;
  Status status = absl::OkStatus();
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    status = MakeError(StatusCode::kInvalidArgument, "unreadable peer message");
  } else {
    status = CheckWellFormed(message);
  }
  if (status.ok() && from_id == options_.id) {
    status = MakeError(StatusCode::kInvalidArgument, "its sender has our own id");
  }
  if (status.ok() && message.to_id() != options_.id) {
    status = MakeError(StatusCode::kInvalidArgument, "it is for member {}", message.to_id());
  }
  if (!status.ok()) {
    FL_LOG(debug, "raft member {} drops a message from {}: {}", options_.id, from_id,
           ToString(status.message()));
    return;
  }
  if (message.has_not_member()) return NoteNotMember(from_id, message.not_member());
  const std::optional<Member> sender = SenderOf(from_id, message);
  if (!sender) return RefuseStranger(from_id, message);
  const Member& from = *sender;
  NoteAnswer(from_id, message);
  const auto reason = ReasonToDrop(status_, core_->MatchIndex(from_id), message);
  if (!reason.empty()) {
    FL_LOG(debug, "raft member {} drops a message from {}: {}", options_.id, from_id, reason);
    if (message.has_append_result()) Repair(from, message.append_result());
    return;
  }
  pb::PeerMessage answer;
  if (AnswerEarlierTerm(status_, message, &answer)) {
    answer.set_to_id(from_id);
    SendOut(from, answer);
    return;
  }
  switch (message.body_case()) {
    case pb::PeerMessage::kAppendEntries:
      return ReceiveAppend(from, &message);
    case pb::PeerMessage::kInstallSnapshot:
      return ReceiveSnapshot(from, message);
    case pb::PeerMessage::kLeadershipQuery:
      return ReceiveQuery(from, message);
    case pb::PeerMessage::kLeadershipAnswer:
      return;
    case pb::PeerMessage::kVoteRequest:
      vote_request_sent_ns_ = message.vote_request().sent_ns();
      break;
    case pb::PeerMessage::kAppendResult:
      RaiseHint(core_->MatchIndex(from_id), message.mutable_append_result());
      break;
    default:
      break;
  }
  StepReceived(from, message, {});
}

bool Driver::StepReceived(const Member& from, const pb::PeerMessage& message,
                          std::vector<EntryPtr> entries) {
  auto update = core_->Receive(NowMs(), from, message, entries);
  return Handle(std::move(update), std::move(entries));
}

std::optional<Member> Driver::SenderOf(uint64_t from_id, const pb::PeerMessage& message) {
  const Member* known = FindMember(from_id);
  const std::string& address = message.from_address();
  if (known != nullptr) return Member{from_id, address.empty() ? known->address : address};
  if (address.empty()) return std::nullopt;
  // Raft does not ask who is a member where it decides: the sender may have been made one in an
  // entry that has not arrived here. A leader has a majority's votes, and is believed; a candidate
  // gets a vote only for a log that ends where ours does, or later.
  switch (message.body_case()) {
    case pb::PeerMessage::kAppendEntries:
    case pb::PeerMessage::kInstallSnapshot:
    case pb::PeerMessage::kTimeoutNow:
      if (message.term() < status_.term) return std::nullopt;
      break;
    case pb::PeerMessage::kVoteRequest: {
      const pb::VoteRequest& request = message.vote_request();
      const uint64_t last_term =
          log_.last_index() >= log_.first_index() ? log_.At(log_.last_index())->term() : 0;
      if (request.last_term() < last_term ||
          (request.last_term() == last_term && request.last_index() < status_.last_index)) {
        return std::nullopt;
      }
      break;
    }
    default:
      return std::nullopt;
  }
  return Member{from_id, address};
}

void Driver::RefuseStranger(uint64_t from_id, const pb::PeerMessage& message) {
  ++strangers_;
  const uint64_t now_ns = host_->NowNs();
  if (stranger_logged_ns_ == 0 || now_ns - stranger_logged_ns_ >= kNotMemberLogNs) {
    stranger_logged_ns_ = now_ns;
    FL_LOG(warn, "node {} refuses node {}{}, which is no member of the cluster (any more)",
           options_.id, from_id,
           message.from_address().empty() ? "" : " at " + message.from_address());
  }
  if (message.from_address().empty() || configurations_.committed_index() == 0) return;
  pb::PeerMessage answer;
  answer.set_to_id(from_id);
  answer.set_term(std::max<uint64_t>(1, status_.term));
  answer.mutable_not_member()->set_configuration_index(configurations_.committed_index());
  SendOut({from_id, message.from_address()}, answer);
}

void Driver::NoteNotMember(uint64_t from_id, const pb::NotMember& message) {
  if (message.configuration_index() <= configurations_.latest_index()) return;
  not_member_by_ = from_id;
  const uint64_t now_ns = host_->NowNs();
  if (not_member_logged_ns_ != 0 && now_ns - not_member_logged_ns_ < kNotMemberLogNs) return;
  not_member_logged_ns_ = now_ns;
  FL_LOG(warn,
         "node {} is no member of the cluster any more, says node {} (entry {}): it was removed. "
         "Stop it; to use it again, add it under a new id with an empty data directory",
         options_.id, from_id, message.configuration_index());
}

// Takes note of an answer's time, for the quorum and for round trips.
void Driver::NoteAnswer(uint64_t from_id, const pb::PeerMessage& message) {
  uint64_t echo_sent_ns = 0;
  switch (message.body_case()) {
    case pb::PeerMessage::kLeadershipAnswer:
      echo_sent_ns = message.leadership_answer().echo_sent_ns();
      break;
    case pb::PeerMessage::kAppendResult:
      echo_sent_ns = message.append_result().echo_sent_ns();
      break;
    case pb::PeerMessage::kVoteResult:
      echo_sent_ns = message.vote_result().echo_sent_ns();
      break;
    default:
      return;
  }
  const uint64_t now_ns = host_->NowNs();
  Contact& contact = contacts_[from_id];
  contact.round_trip.Sample(echo_sent_ns, now_ns);
  if (message.has_vote_result() || message.term() != status_.term) return;
  if (status_.role != Role::kLeader) return;
  if (contact.since_ns == 0 || echo_sent_ns > contact.since_ns) contact.heard_ns = now_ns;
  quorum_.Acknowledge(from_id, echo_sent_ns);
}

void Driver::NoteLeader(uint64_t from_id, uint64_t term, uint64_t sent_ns) {
  if (term < status_.term) return;
  if (term != stamp_.term || from_id != stamp_.leader_id) stamp_ = {term, from_id, 0};
  stamp_.sent_ns = std::max(stamp_.sent_ns, sent_ns);
  not_member_by_ = 0;
}

void Driver::ReceiveAppend(const Member& from, pb::PeerMessage* message) {
  pb::AppendEntries* append = message->mutable_append_entries();
  NoteLeader(from.id, message->term(), append->sent_ns());
  leader_round_trip_us_ = append->round_trip_us();
  TrimBelowSnapshot(status_, append);
  for (pb::AppendEntries& piece : SplitAtConfigurations(std::move(*append))) {
    // The core can take back only the newest configuration: those before are told to be committed
    // first, which they are.
    if (piece.entries_size() > 0 && piece.entries(0).type() == pb::ENTRY_TYPE_CONFIGURATION) {
      ApplyCommitted();
    }
    std::vector<EntryPtr> entries;
    entries.reserve(static_cast<size_t>(piece.entries_size()));
    for (pb::Entry& entry : *piece.mutable_entries()) {
      entries.push_back(std::make_shared<pb::Entry>(std::move(entry)));
    }
    piece.clear_entries();
    message->mutable_append_entries()->Swap(&piece);
    if (!StepReceived(from, *message, std::move(entries))) return;
  }
}

void Driver::ReceiveQuery(const Member& from, const pb::PeerMessage& message) {
  if (message.term() != status_.term || status_.role == Role::kLeader) return;
  pb::PeerMessage answer;
  answer.set_to_id(from.id);
  answer.set_term(status_.term);
  answer.mutable_leadership_answer()->set_echo_sent_ns(message.leadership_query().sent_ns());
  SendOut(from, answer);
}

}  // namespace faultline::raft
