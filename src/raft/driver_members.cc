// The driver's part in who belongs to the group and who leads it: changes of membership and
// transfer of leadership.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "raft/driver.h"

namespace faultline::raft {
namespace {

// A member that has not answered for so long, or for two election timeouts, counts as away when a
// change would rest on it. A new leader, and a new member, are given so long for the first answer.
constexpr uint64_t kAwayNs = kNanosPerSecond;

Status ChangePending() {
  return MakeDetailedError(
      StatusCode::kFailedPrecondition, "CHANGE_PENDING",
      "another change of membership or a transfer of leadership is under way; try again when it is "
      "done");
}

Status NotCaughtUp(uint64_t id, uint64_t match_index, uint64_t last_index) {
  return MakeDetailedError(
      StatusCode::kFailedPrecondition, "NOT_CAUGHT_UP",
      fmt::format("node {} has the log up to {} of {} and does not catch up; is it running?", id,
                  match_index, last_index));
}

Status NoTransferee(uint64_t id) {
  return MakeDetailedError(StatusCode::kFailedPrecondition, "NO_TRANSFEREE",
                           id == 0
                               ? "no other voter can be reached"
                               : fmt::format("node {} is no other voter that can be reached", id));
}

}  // namespace

Status Driver::RestoreConfigurations(const LoadedLog& log) {
  if (log.snapshot) {
    const pb::SnapshotMetadata& metadata = log.snapshot->metadata;
    configurations_.Reset(metadata.configuration_index(), metadata.configuration());
  } else if (!log.entries.empty() && log.entries.front()->type() != pb::ENTRY_TYPE_CONFIGURATION) {
    return MakeError(StatusCode::kDataLoss, "the log's first entry is not a configuration");
  }
  uint64_t index = log.first_index;
  for (const EntryPtr& entry : log.entries) {
    const uint64_t at = index++;
    if (entry->type() != pb::ENTRY_TYPE_CONFIGURATION || at <= configurations_.latest_index()) {
      continue;
    }
    pb::Configuration configuration;
    if (!configuration.ParseFromString(entry->data())) {
      return MakeError(StatusCode::kDataLoss, "the configuration at {} cannot be read", at);
    }
    configurations_.Append(at, std::move(configuration));
  }
  if (log.first_index == 1 && !log.snapshot && !log.entries.empty()) configurations_.Commit(1);
  members_ = MembersOf(configurations_.latest());
  return absl::OkStatus();
}

void Driver::MembersChanged() {
  const std::vector<Member> before = std::exchange(members_, MembersOf(configurations_.latest()));
  for (const Member& member : members_) {
    const bool stays = std::any_of(before.begin(), before.end(), [&member](const Member& was) {
      return was.id == member.id && was.address == member.address;
    });
    if (stays) continue;
    // Nobody has been heard from there, and the address may be wrong.
    contacts_[member.id].heard_ns = 0;
    contacts_[member.id].since_ns = host_->NowNs();
  }
  quorum_.SetOthers(OtherVoters());
  std::erase_if(contacts_,
                [this](const auto& entry) { return FindMember(entry.first) == nullptr; });
  std::erase_if(told_, [this](const auto& entry) { return FindMember(entry.first) == nullptr; });
}

void Driver::ApplyConfiguration(uint64_t index) {
  configurations_.Commit(index);
  Handle(core_->CommittedConfiguration(NowMs(), index, configurations_.committed()), {});
}

bool Driver::Reachable(uint64_t id) const {
  if (id == options_.id) return true;
  const auto found = contacts_.find(id);
  if (found == contacts_.end() || found->second.heard_ns == 0) return false;
  const uint64_t away_ns = std::max<uint64_t>(kAwayNs, 2 * timeouts_.election_ms * kNanosPerMilli);
  return host_->NowNs() - found->second.heard_ns < away_ns;
}

bool Driver::HadTimeToAnswer(uint64_t since_ns) const {
  return host_->NowNs() >= std::max(leads_since_ns_, since_ns) + kAwayNs;
}

void Driver::Change(MemberChange change, std::function<void(Status)> done) {
  if (Status refusal = RefusalNow(); !refusal.ok()) return done(std::move(refusal));
  if (change_ || Transferee() != 0 || configurations_.pending()) return done(ChangePending());
  Status status = Changed(configurations_.latest(), change).status();
  if (status.ok() && change.kind == MemberChange::Kind::kRemove && change.id == options_.id) {
    status = MakeDetailedError(
        StatusCode::kFailedPrecondition, "IS_LEADER",
        fmt::format("node {} leads; transfer leadership before removing it", change.id));
  }
  if (!status.ok()) return done(status);
  change_ = PendingChange{std::move(change), std::move(done)};
}

void Driver::AdvanceChange() {
  if (!change_ || status_.role != Role::kLeader || !storage_problem_.ok()) return;
  if (change_->index > 0) {
    if (applied_index_ >= change_->index) EndChange(absl::OkStatus());
    return;
  }
  if (Transferee() != 0) return;  // the core takes nothing meanwhile
  // Without a committed entry of its own term a leader may not change members: another leader's
  // change, not yet seen, could rest on a majority that does not meet ours (Ongaro, "bug in
  // single-server membership changes", raft-dev, July 2015). The core does not see to it.
  if (applied_term_ != status_.term) return SubmitBarrier();
  const uint64_t id = change_->change.id;
  if (change_->change.kind != MemberChange::Kind::kPromote) return SubmitChange();
  const uint64_t match_index = core_->MatchIndex(id);
  if (!change_->catching_up) {
    // The core notices only progress, not that there is nothing left to do.
    if (match_index == status_.last_index) return SubmitChange();
    // Not begun with a member that is away: the core would try for seconds, and no other change
    // could be made meanwhile.
    if (!Reachable(id)) {
      if (!HadTimeToAnswer(contacts_[id].since_ns)) return;
      return EndChange(NotCaughtUp(id, match_index, status_.last_index));
    }
    change_->catching_up = true;
    Handle(core_->CatchUp(NowMs(), id), {});
    return;
  }
  if (status_.promoting) return;
  if (core_->GetCatchUpState(id) == CatchUpState::kFinished) return SubmitChange();
  EndChange(NotCaughtUp(id, match_index, status_.last_index));
}

void Driver::SubmitBarrier() {
  if (barrier_term_ == status_.term) return;
  barrier_term_ = status_.term;
  auto barrier = std::make_shared<pb::Entry>();
  barrier->set_term(status_.term);
  barrier->set_type(pb::ENTRY_TYPE_BARRIER);
  Handle(core_->Submit(NowMs(), 1), {std::move(barrier)});
}

void Driver::SubmitChange() {
  const auto to = Changed(configurations_.latest(), change_->change);
  if (!to.ok()) return EndChange(to.status());
  // Nobody has been heard from at a new address, and it may be wrong. A voter that is the only one
  // needs nobody.
  const MemberChange& change = change_->change;
  const bool moves = change.kind == MemberChange::Kind::kSetAddress &&
                     FindMember(change.id)->address != change.address;
  const uint64_t moved = moves && !OtherVoters().empty() ? change.id : 0;
  const Status safe = CheckKeepsQuorum(*to, moved, [this](uint64_t id) { return Reachable(id); });
  // A new leader waits for those that have had no time to answer it.
  if (!safe.ok() && !HadTimeToAnswer(0)) return;
  if (!safe.ok()) return EndChange(safe);
  auto entry = std::make_shared<pb::Entry>();
  entry->set_term(status_.term);
  entry->set_type(pb::ENTRY_TYPE_CONFIGURATION);
  entry->set_data(to->SerializeAsString());
  change_->index = status_.last_index + 1;
  Handle(core_->SubmitConfiguration(NowMs(), *to), {std::move(entry)});
}

void Driver::EndChange(const Status& status) {
  if (!change_) return;
  const PendingChange change = *std::exchange(change_, std::nullopt);
  change.done(status);
}

void Driver::Transfer(uint64_t to, std::function<void(Status)> done) {
  if (!failure_.ok() || status_.role != Role::kLeader) return done(NotLeaderError(view()));
  if (to == options_.id) return done(NoTransferee(to));
  if (change_ || Transferee() != 0 || configurations_.pending()) return done(ChangePending());
  const uint64_t target = to == 0 ? BestTransferee() : to;
  const Member* member = FindMember(target);
  if (member == nullptr || member->learner || !Reachable(target)) {
    return done(NoTransferee(to));
  }
  transfer_ = PendingTransfer{target, host_->NowNs() + timeouts_.election_ms * kNanosPerMilli,
                              false, std::move(done)};
}

uint64_t Driver::BestTransferee() const {
  uint64_t best = 0;
  uint64_t best_match = 0;
  for (const uint64_t id : OtherVoters()) {
    const uint64_t match = core_->MatchIndex(id);
    if (!Reachable(id) || (best != 0 && match <= best_match)) continue;
    best = id;
    best_match = match;
  }
  return best;
}

void Driver::AdvanceTransfer() {
  if (!transfer_ || status_.role != Role::kLeader) return;
  const auto timed_out = [this] {
    EndTransfer(MakeDetailedError(
        StatusCode::kDeadlineExceeded, "TRANSFER_TIMED_OUT",
        fmt::format("node {} did not take over within an election timeout; node {} still leads",
                    transfer_->to, options_.id)));
  };
  if (transfer_->begun) {
    if (status_.transferee == 0) timed_out();
    return;
  }
  if (host_->NowNs() >= transfer_->deadline_ns) return timed_out();
  // Everything submitted is committed first, so that nobody's outcome becomes unknown.
  if (status_.commit_index < status_.last_index ||
      core_->MatchIndex(transfer_->to) < status_.last_index) {
    return;
  }
  transfer_->begun = true;
  Handle(core_->Transfer(NowMs(), transfer_->to), {});
}

void Driver::EndTransfer(const Status& status) {
  if (!transfer_) return;
  const PendingTransfer transfer = *std::exchange(transfer_, std::nullopt);
  transfer.done(status);
}

GroupState Driver::group() const {
  GroupState group;
  const bool leads = failure_.ok() && status_.role == Role::kLeader;
  const uint64_t now_ns = host_->NowNs();
  for (const Member& member : members_) {
    MemberState state;
    state.member = member;
    if (member.id == options_.id) {
      state.match_index = status_.last_stored;
      state.last_contact = std::chrono::nanoseconds::zero();
    } else if (const auto found = contacts_.find(member.id); leads && found != contacts_.end()) {
      state.match_index = core_->MatchIndex(member.id);
      if (found->second.heard_ns != 0) {
        state.last_contact = std::chrono::nanoseconds(now_ns - found->second.heard_ns);
      }
      state.round_trip_us = found->second.round_trip.smoothed_ns() / kNanosPerMicro;
    }
    group.members.push_back(std::move(state));
  }
  group.configuration_index = configurations_.latest_index();
  group.change_pending = change_.has_value() || configurations_.pending();
  group.transferee = Transferee();
  group.not_member_by = not_member_by_;
  group.refused_strangers = strangers_;
  group.last_index = status_.last_index;
  group.heartbeat = std::chrono::milliseconds(timeouts_.heartbeat_ms);
  group.election_timeout = std::chrono::milliseconds(timeouts_.election_ms);
  return group;
}

const Member* Driver::FindMember(uint64_t id) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [id](const Member& member) { return member.id == id; });
  return found == members_.end() ? nullptr : &*found;
}

std::vector<uint64_t> Driver::OtherVoters() const {
  std::vector<uint64_t> others;
  for (const Member& member : members_) {
    if (member.id != options_.id && !member.learner) others.push_back(member.id);
  }
  return others;
}

}  // namespace faultline::raft
