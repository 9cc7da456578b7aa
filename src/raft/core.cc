#include "raft/core.h"

#include <algorithm>
#include <cstdlib>

#include "raft/core_convert.h"

namespace faultline::raft {
namespace {

// Entries that may be on their way to one follower unacknowledged.
constexpr unsigned kMaxInflightEntries = 512;
constexpr unsigned kMinInstallTimeoutMs = 3'000;

uint32_t InstallTimeoutMs(uint32_t election_timeout_ms) {
  return std::max(kMinInstallTimeoutMs, 10 * election_timeout_ms);
}

}  // namespace

void Core::Deleter::operator()(fl_raft* raft) const { fl_raft_free(raft); }

Core::Core(const CoreOptions& options) {
  fl_raft_options c{};
  c.id = options.id;
  c.address = options.address.c_str();
  c.seed = options.seed;
  c.election_timeout_ms = options.election_timeout_ms;
  c.heartbeat_ms = options.heartbeat_ms;
  c.install_snapshot_timeout_ms = InstallTimeoutMs(options.election_timeout_ms);
  c.max_inflight_entries = kMaxInflightEntries;
  raft_.reset(fl_raft_new(&c));
  if (!raft_) std::abort();  // out of memory
}

Core::~Core() = default;

StatusOr<CoreUpdate> Core::Result(int code, const fl_raft_update& update) const {
  if (code != 0) {
    return MakeError(StatusCode::kInternal, "the consensus core stopped: {}", fl_raft_error(code));
  }
  CoreUpdate out;
  out.hard_state = update.hard_state;
  out.entries_index = update.entries_index;
  out.entry_count = update.n_entries;
  out.barrier = update.barrier;
  out.install_snapshot = update.install_snapshot;
  out.messages.reserve(update.n_messages);
  for (unsigned i = 0; i < update.n_messages; ++i) {
    out.messages.push_back(Export(update.messages[i]));
  }
  return out;
}

StatusOr<CoreUpdate> Core::Start(uint64_t now_ms, const LoadedLog& log) {
  CEntries entries(log.entries.size());
  for (const EntryPtr& entry : log.entries) entries.Add(*entry);
  const pb::SnapshotMetadata none;
  const pb::SnapshotMetadata& metadata = log.snapshot ? log.snapshot->metadata : none;
  const CConfiguration configuration(metadata.configuration());
  const fl_raft_snapshot snapshot = CSnapshot(metadata, configuration);
  fl_raft_update update{};
  const int code = fl_raft_start(raft_.get(), now_ms, log.hard_state.term, log.hard_state.voted_for,
                                 log.snapshot ? &snapshot : nullptr, log.first_index,
                                 entries.data(), entries.size(), &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::Receive(uint64_t now_ms, const Member& from,
                                   const pb::PeerMessage& message,
                                   const std::vector<EntryPtr>& received) {
  fl_raft_message c{};
  c.peer_id = from.id;
  c.peer_address = from.address.c_str();
  c.term = message.term();
  const CConfiguration configuration(message.install_snapshot().metadata().configuration());
  CEntries entries(received.size());
  switch (message.body_case()) {
    case pb::PeerMessage::kAppendEntries:
      c.type = FL_RAFT_APPEND_ENTRIES;
      c.prev_index = message.append_entries().prev_index();
      c.prev_term = message.append_entries().prev_term();
      c.leader_commit = message.append_entries().leader_commit();
      for (const EntryPtr& entry : received) entries.Add(*entry);
      c.entries = entries.data();
      c.n_entries = entries.size();
      break;
    case pb::PeerMessage::kAppendResult:
      c.type = FL_RAFT_APPEND_RESULT;
      c.rejected = message.append_result().rejected();
      c.last_index = message.append_result().last_index();
      break;
    case pb::PeerMessage::kVoteRequest:
      c.type = FL_RAFT_VOTE_REQUEST;
      c.last_index = message.vote_request().last_index();
      c.last_term = message.vote_request().last_term();
      c.pre_vote = message.vote_request().pre_vote();
      c.disrupt_leader = message.vote_request().disrupt_leader();
      break;
    case pb::PeerMessage::kTimeoutNow:
      c.type = FL_RAFT_TIMEOUT_NOW;
      c.last_index = message.timeout_now().last_index();
      c.last_term = message.timeout_now().last_term();
      break;
    case pb::PeerMessage::kVoteResult:
      c.type = FL_RAFT_VOTE_RESULT;
      c.granted = message.vote_result().granted();
      c.pre_vote = message.vote_result().pre_vote();
      break;
    case pb::PeerMessage::kInstallSnapshot:
      c.type = FL_RAFT_INSTALL_SNAPSHOT;
      c.snapshot = CSnapshot(message.install_snapshot().metadata(), configuration);
      break;
    default:
      return CoreUpdate{};
  }
  fl_raft_update update{};
  const int code = fl_raft_receive(raft_.get(), now_ms, &c, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::Submit(uint64_t now_ms, uint32_t command_count) {
  fl_raft_update update{};
  const int code = fl_raft_submit(raft_.get(), now_ms, command_count, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::SubmitConfiguration(uint64_t now_ms, const pb::Configuration& from) {
  const CConfiguration configuration(from);
  const fl_raft_configuration c = configuration.get();
  fl_raft_update update{};
  const int code = fl_raft_submit_configuration(raft_.get(), now_ms, &c, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::CatchUp(uint64_t now_ms, uint64_t id) {
  fl_raft_update update{};
  const int code = fl_raft_catch_up(raft_.get(), now_ms, id, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::Transfer(uint64_t now_ms, uint64_t id) {
  fl_raft_update update{};
  const int code = fl_raft_transfer(raft_.get(), now_ms, id, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::PersistedEntries(uint64_t now_ms, uint64_t index) {
  fl_raft_update update{};
  const int code = fl_raft_persisted_entries(raft_.get(), now_ms, index, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::PersistedSnapshot(uint64_t now_ms,
                                             const pb::SnapshotMetadata& metadata) {
  const CConfiguration configuration(metadata.configuration());
  const fl_raft_snapshot snapshot = CSnapshot(metadata, configuration);
  fl_raft_update update{};
  const int code = fl_raft_persisted_snapshot(raft_.get(), now_ms, &snapshot, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::TookSnapshot(uint64_t now_ms, const pb::SnapshotMetadata& metadata,
                                        uint32_t trailing) {
  const CConfiguration configuration(metadata.configuration());
  const fl_raft_snapshot snapshot = CSnapshot(metadata, configuration);
  fl_raft_update update{};
  const int code = fl_raft_took_snapshot(raft_.get(), now_ms, &snapshot, trailing, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::CommittedConfiguration(uint64_t now_ms, uint64_t index,
                                                  const pb::Configuration& from) {
  const CConfiguration configuration(from);
  const fl_raft_configuration c = configuration.get();
  fl_raft_update update{};
  const int code = fl_raft_committed_configuration(raft_.get(), now_ms, index, &c, &update);
  return Result(code, update);
}

StatusOr<CoreUpdate> Core::Timeout(uint64_t now_ms) {
  fl_raft_update update{};
  const int code = fl_raft_timeout(raft_.get(), now_ms, &update);
  return Result(code, update);
}

CoreStatus Core::GetStatus() const {
  fl_raft_status c{};
  fl_raft_get_status(raft_.get(), &c);
  CoreStatus status;
  status.role = c.role == FL_RAFT_LEADER      ? Role::kLeader
                : c.role == FL_RAFT_CANDIDATE ? Role::kCandidate
                                              : Role::kFollower;
  status.in_pre_vote = c.in_pre_vote;
  status.installing = c.installing;
  status.term = c.term;
  status.voted_for = c.voted_for;
  status.leader_id = c.leader_id;
  if (c.leader_address != nullptr) status.leader_address = c.leader_address;
  status.commit_index = c.commit_index;
  status.last_index = c.last_index;
  status.last_stored = c.last_stored;
  status.offset = c.offset;
  status.snapshot_index = c.snapshot_index;
  status.snapshot_term = c.snapshot_term;
  status.timeout_ms = c.timeout_ms;
  status.transferee = c.transferee;
  status.promoting = c.promoting;
  return status;
}

uint64_t Core::MatchIndex(uint64_t id) const { return fl_raft_match_index(raft_.get(), id); }

CatchUpState Core::GetCatchUpState(uint64_t id) const {
  switch (fl_raft_catch_up_state(raft_.get(), id)) {
    case FL_RAFT_CATCH_UP_RUNNING:
      return CatchUpState::kRunning;
    case FL_RAFT_CATCH_UP_ABORTED:
      return CatchUpState::kAborted;
    case FL_RAFT_CATCH_UP_FINISHED:
      return CatchUpState::kFinished;
    default:
      return CatchUpState::kNone;
  }
}

void Core::SetTimeouts(uint32_t election_timeout_ms, uint32_t heartbeat_ms) {
  fl_raft_set_timeouts(raft_.get(), election_timeout_ms, heartbeat_ms,
                       InstallTimeoutMs(election_timeout_ms));
}

}  // namespace faultline::raft
