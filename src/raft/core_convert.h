// Between the core's C structs and our messages; for core.cc alone.
#pragma once

#include <vector>

#include "raft/core.h"
#include "raft/libraft_core.h"

namespace faultline::raft {

// A configuration in the core's form; refers to `from`'s strings.
class CConfiguration {
 public:
  explicit CConfiguration(const pb::Configuration& from) {
    for (const auto& member : from.members()) {
      servers_.push_back({member.id(), member.address().c_str(), !member.learner()});
    }
  }
  fl_raft_configuration get() const {
    return {servers_.data(), static_cast<unsigned>(servers_.size())};
  }

 private:
  std::vector<fl_raft_server> servers_;
};

inline fl_raft_snapshot CSnapshot(const pb::SnapshotMetadata& from,
                                  const CConfiguration& configuration) {
  return {from.last_index(), from.last_term(), from.configuration_index(), configuration.get()};
}

// Entries in the core's form, without content.
class CEntries {
 public:
  explicit CEntries(size_t count) {
    entries_.reserve(count);
    decoded_.reserve(count);
    configurations_.reserve(count);
  }
  void Add(const pb::Entry& from) {
    fl_raft_entry entry{};
    entry.term = from.term();
    entry.type = from.type() == pb::ENTRY_TYPE_COMMAND   ? FL_RAFT_COMMAND
                 : from.type() == pb::ENTRY_TYPE_BARRIER ? FL_RAFT_BARRIER
                                                         : FL_RAFT_CHANGE;
    if (entry.type == FL_RAFT_CHANGE) {
      decoded_.emplace_back().ParseFromString(from.data());
      configurations_.emplace_back(decoded_.back());
      entry.configuration = configurations_.back().get();
    }
    entries_.push_back(entry);
  }
  const fl_raft_entry* data() const { return entries_.data(); }
  unsigned size() const { return static_cast<unsigned>(entries_.size()); }

 private:
  std::vector<fl_raft_entry> entries_;
  std::vector<pb::Configuration> decoded_;
  std::vector<CConfiguration> configurations_;
};

inline OutgoingMessage Export(const fl_raft_message& from) {
  OutgoingMessage out;
  out.to = {from.peer_id, from.peer_address};
  out.message.set_to_id(from.peer_id);
  out.message.set_term(from.term);
  switch (from.type) {
    case FL_RAFT_APPEND_ENTRIES: {
      auto* append = out.message.mutable_append_entries();
      append->set_prev_index(from.prev_index);
      append->set_prev_term(from.prev_term);
      append->set_leader_commit(from.leader_commit);
      out.entry_count = from.n_entries;
      break;
    }
    case FL_RAFT_APPEND_RESULT:
      out.message.mutable_append_result()->set_rejected(from.rejected);
      out.message.mutable_append_result()->set_last_index(from.last_index);
      break;
    case FL_RAFT_VOTE_REQUEST:
      out.message.mutable_vote_request()->set_last_index(from.last_index);
      out.message.mutable_vote_request()->set_last_term(from.last_term);
      out.message.mutable_vote_request()->set_pre_vote(from.pre_vote);
      out.message.mutable_vote_request()->set_disrupt_leader(from.disrupt_leader);
      break;
    case FL_RAFT_VOTE_RESULT:
      out.message.mutable_vote_result()->set_granted(from.granted);
      out.message.mutable_vote_result()->set_pre_vote(from.pre_vote);
      break;
    case FL_RAFT_INSTALL_SNAPSHOT:
      out.message.mutable_install_snapshot();
      break;
    case FL_RAFT_TIMEOUT_NOW:
      out.message.mutable_timeout_now()->set_last_index(from.last_index);
      out.message.mutable_timeout_now()->set_last_term(from.last_term);
      break;
  }
  return out;
}

}  // namespace faultline::raft
