#include "raft/filters.h"

#include <algorithm>

namespace faultline::raft {
namespace {

// As a rejected index: above any log.
constexpr uint64_t kOnlyTellsTerm = UINT64_MAX;

Status Malformed(std::string_view what) {
  return MakeError(StatusCode::kInvalidArgument, "malformed peer message: {}", what);
}

Status CheckConfiguration(const pb::Configuration& configuration) {
  if (configuration.members().empty()) return Malformed("a configuration without members");
  for (int i = 0; i < configuration.members_size(); ++i) {
    const pb::Member& member = configuration.members(i);
    if (member.id() == 0 || member.address().empty()) return Malformed("a member without id");
    for (int j = 0; j < i; ++j) {
      if (configuration.members(j).id() == member.id() ||
          configuration.members(j).address() == member.address()) {
        return Malformed("a member that is listed twice");
      }
    }
  }
  return absl::OkStatus();
}

Status CheckAppend(uint64_t message_term, const pb::AppendEntries& append) {
  if ((append.prev_index() == 0) != (append.prev_term() == 0)) {
    return Malformed("previous index and term do not agree");
  }
  uint64_t term = append.prev_term();
  for (const pb::Entry& entry : append.entries()) {
    if (entry.term() == 0 || entry.term() < term) return Malformed("terms that go back");
    term = entry.term();
    if (!pb::EntryType_IsValid(entry.type()) || entry.type() == pb::ENTRY_TYPE_UNSPECIFIED) {
      return Malformed("an entry of unknown type");
    }
    if (entry.type() != pb::ENTRY_TYPE_CONFIGURATION) continue;
    pb::Configuration configuration;
    if (!configuration.ParseFromString(entry.data())) return Malformed("an unreadable entry");
    FL_RETURN_IF_ERROR(CheckConfiguration(configuration));
  }
  return term <= message_term ? absl::OkStatus() : Malformed("an entry from a later term");
}

Status CheckSnapshot(uint64_t message_term, const pb::SnapshotMetadata& metadata) {
  if (metadata.last_index() == 0 || metadata.last_term() == 0 ||
      metadata.last_term() > message_term || metadata.configuration_index() == 0 ||
      metadata.configuration_index() > metadata.last_index()) {
    return Malformed("snapshot metadata");
  }
  return CheckConfiguration(metadata.configuration());
}

bool VoteResultIsStale(const CoreStatus& status, const pb::PeerMessage& message) {
  const pb::VoteResult& result = message.vote_result();
  if (status.role != Role::kCandidate || result.pre_vote() != status.in_pre_vote) return true;
  if (!result.granted()) return false;
  return message.term() != (status.in_pre_vote ? status.term + 1 : status.term);
}

}  // namespace

Status CheckWellFormed(const pb::PeerMessage& message) {
  if (message.term() == 0) return Malformed("no term");
  switch (message.body_case()) {
    case pb::PeerMessage::kAppendEntries:
      return CheckAppend(message.term(), message.append_entries());
    case pb::PeerMessage::kInstallSnapshot:
      return CheckSnapshot(message.term(), message.install_snapshot().metadata());
    case pb::PeerMessage::BODY_NOT_SET:
      return Malformed("no body that this version knows");
    default:
      return absl::OkStatus();
  }
}

std::string_view ReasonToDrop(const CoreStatus& status, uint64_t match_index,
                              const pb::PeerMessage& message) {
  const bool leads_this_term = status.role == Role::kLeader && message.term() == status.term;
  switch (message.body_case()) {
    case pb::PeerMessage::kVoteResult:
      if (VoteResultIsStale(status, message)) return "late vote result";
      break;
    case pb::PeerMessage::kAppendResult:
      if (leads_this_term && message.append_result().rejected() != 0 &&
          (message.append_result().rejected() <= match_index ||
           message.append_result().rejected() > status.last_index)) {
        return "late rejection";
      }
      break;
    case pb::PeerMessage::kAppendEntries:
      if (leads_this_term) return "a second leader of our own term: is an id used twice?";
      break;
    case pb::PeerMessage::kInstallSnapshot:
      if (leads_this_term) return "a second leader of our own term: is an id used twice?";
      if (status.installing) return "a snapshot is being installed";
      break;
    default:
      break;
  }
  return {};
}

bool AnswerEarlierTerm(const CoreStatus& status, const pb::PeerMessage& message,
                       pb::PeerMessage* answer) {
  if (message.term() >= status.term) return false;
  if (!message.has_append_entries() && !message.has_install_snapshot()) return false;
  answer->set_term(status.term);
  answer->mutable_append_result()->set_rejected(kOnlyTellsTerm);
  return true;
}

void RaiseHint(uint64_t match_index, pb::AppendResult* result) {
  if (result->rejected() != 0 && result->last_index() < match_index) {
    result->set_last_index(match_index);
  }
}

void TrimBelowSnapshot(const CoreStatus& status, pb::AppendEntries* append) {
  if (append->prev_index() >= status.snapshot_index) return;
  const auto known = static_cast<int>(std::min<uint64_t>(
      status.snapshot_index - append->prev_index(), static_cast<uint64_t>(append->entries_size())));
  append->mutable_entries()->DeleteSubrange(0, known);
  append->set_prev_index(status.snapshot_index);
  append->set_prev_term(status.snapshot_term);
}

std::vector<pb::AppendEntries> SplitAtConfigurations(pb::AppendEntries append) {
  std::vector<pb::AppendEntries> pieces;
  const auto begin_piece = [&](uint64_t prev_index, uint64_t prev_term) {
    pb::AppendEntries& piece = pieces.emplace_back();
    piece.set_prev_index(prev_index);
    piece.set_prev_term(prev_term);
    piece.set_leader_commit(append.leader_commit());
    piece.set_sent_ns(append.sent_ns());
  };
  begin_piece(append.prev_index(), append.prev_term());
  uint64_t index = append.prev_index();
  uint64_t term = append.prev_term();
  for (pb::Entry& entry : *append.mutable_entries()) {
    if (entry.type() == pb::ENTRY_TYPE_CONFIGURATION && pieces.back().entries_size() > 0) {
      begin_piece(index, term);
    }
    ++index;
    term = entry.term();
    pieces.back().add_entries()->Swap(&entry);
  }
  return pieces;
}

void TellRealTerm(uint64_t term, pb::PeerMessage* outgoing) {
  if (!outgoing->has_vote_result()) return;
  const pb::VoteResult& result = outgoing->vote_result();
  if (result.pre_vote() && !result.granted()) outgoing->set_term(term);
}

}  // namespace faultline::raft
