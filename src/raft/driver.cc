#include "raft/driver.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "raft/load_snapshot.h"

namespace faultline::raft {
namespace {

Timeouts Configured(const Options& options) {
  return {static_cast<uint32_t>(options.heartbeat.count()),
          static_cast<uint32_t>(options.election_timeout.count())};
}

}  // namespace

LogWrite InitialLog(std::vector<Member> members) {
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  pb::Configuration configuration;
  for (const Member& member : members) {
    auto* added = configuration.add_members();
    added->set_id(member.id);
    added->set_address(member.address);
    added->set_learner(member.learner);
  }
  auto entry = std::make_shared<pb::Entry>();
  entry->set_term(1);
  entry->set_type(pb::ENTRY_TYPE_CONFIGURATION);
  entry->set_data(configuration.SerializeAsString());
  LogWrite write;
  write.hard_state = HardState{1, 0};
  write.first_index = 1;
  write.entries = {std::move(entry)};
  return write;
}

Driver::Driver(const Options& options, StateMachine* machine, Host* host)
    : options_(options), machine_(machine), host_(host), timeouts_(Configured(options)) {}

Driver::~Driver() = default;

uint64_t Driver::NowMs() const { return host_->NowNs() / kNanosPerMilli; }

Status Driver::Start(LoadedLog log) {
  const Status status = Begin(std::move(log));
  if (!status.ok() && failure_.ok()) Abandon(status);
  return status;
}

Status Driver::Begin(LoadedLog log) {
  if (log.snapshot) {
    const Snapshot& snapshot = *log.snapshot;
    FL_ASSIGN_OR_RETURN(auto state, LoadSnapshot(snapshot, *machine_));
    machine_->Restore(snapshot.metadata.last_index(), snapshot.metadata.last_term(),
                      std::move(state));
    snapshot_ = log.snapshot;
    applied_index_ = snapshot_index_ = snapshot.metadata.last_index();
    applied_term_ = snapshot.metadata.last_term();
  }
  FL_RETURN_IF_ERROR(RestoreConfigurations(log));
  const Member* self = FindMember(options_.id);
  if (self == nullptr && !options_.join) {
    return MakeDetailedError(
        StatusCode::kFailedPrecondition, "NOT_A_MEMBER",
        fmt::format("node {} is no member of the cluster that its log tells of (entry {}): it was "
                    "removed; to use it again, add it under a new id with an empty data directory",
                    options_.id, configurations_.latest_index()));
  }
  log_.Reset(log.first_index);
  for (const EntryPtr& entry : log.entries) log_.Append(entry);
  writes_ = WriteQueue(log_.last_index());
  CoreOptions core;
  core.id = options_.id;
  core.address = self == nullptr ? std::string() : self->address;
  core.seed = static_cast<uint32_t>(options_.seed ^ options_.seed >> 32);
  core.election_timeout_ms = timeouts_.election_ms;
  core.heartbeat_ms = timeouts_.heartbeat_ms;
  core_ = std::make_unique<Core>(core);
  Handle(core_->Start(NowMs(), log), {});
  Pump();
  return failure_;
}

void Driver::Fail(const Status& status) {
  if (!failure_.ok()) return;
  FL_LOG(error, "raft member {} stops: {}", options_.id, ToString(status.message()));
  Abandon(status);
}

void Driver::Stop() {
  if (failure_.ok()) Abandon(MakeError(StatusCode::kCancelled, "the node is shutting down"));
}

void Driver::Abandon(const Status& status) {
  failure_ = status;
  quorum_.End();
  proposals_.FailWaiting(LeadershipLostError());
  proposals_.FailQueued(NotLeaderError(view()));
  quorum_.FailReaders(NotLeaderError(view()));
  EndChange(LeadershipLostError());
  EndTransfer(status);
}

bool Driver::Handle(StatusOr<CoreUpdate> update, std::vector<EntryPtr> entries) {
  if (!update.ok()) {
    Fail(update.status());
    return false;
  }
  const Role role_before = status_.role;
  const uint64_t term_before = status_.term;
  status_ = core_->GetStatus();
  if (update->hard_state) writes_.SetHardState({status_.term, status_.voted_for});
  if (update->entries_index > 0) {
    if (update->barrier) {
      auto barrier = std::make_shared<pb::Entry>();
      barrier->set_term(status_.term);
      barrier->set_type(pb::ENTRY_TYPE_BARRIER);
      entries = {std::move(barrier)};
    }
    entries.erase(entries.begin(), entries.end() - update->entry_count);
    AppendToLog(update->entries_index, std::move(entries));
  }
  if (update->install_snapshot && !received_) {
    Fail(MakeError(StatusCode::kInternal, "the core installs a snapshot that was not fetched"));
    return false;
  }
  if (update->install_snapshot) {
    log_.Reset(received_->metadata.last_index() + 1);
    writes_.Install(std::move(received_));
  }
  HandleRoleChange(role_before, term_before, *update);
  SendAll(std::move(update->messages));
  return failure_.ok();
}

void Driver::AppendToLog(uint64_t first_index, std::vector<EntryPtr> entries) {
  log_.RemoveFrom(first_index);
  writes_.Append(first_index, entries);
  const uint64_t before = configurations_.latest_index();
  configurations_.RemoveFrom(first_index);
  uint64_t index = first_index;
  for (EntryPtr& entry : entries) {
    if (entry->type() == pb::ENTRY_TYPE_CONFIGURATION) {
      pb::Configuration configuration;
      configuration.ParseFromString(entry->data());
      configurations_.Append(index, std::move(configuration));
    }
    log_.Append(std::move(entry));
    ++index;
  }
  if (configurations_.latest_index() != before) MembersChanged();
}

void Driver::HandleRoleChange(Role before, uint64_t term_before, const CoreUpdate& update) {
  const bool leads = status_.role == Role::kLeader;
  const bool led = before == Role::kLeader;
  if (led && (!leads || status_.term != term_before)) {
    quorum_.End();
    proposals_.FailWaiting(LeadershipLostError());
    quorum_.FailReaders(NotLeaderError(view()));
    EndChange(LeadershipLostError());
    EndTransfer(absl::OkStatus());
  }
  if (leads && (!led || status_.term != term_before)) {
    // Without a barrier all of the log is known to be committed.
    term_begin_index_ = update.barrier ? update.entries_index : status_.commit_index;
    if (storage_problem_.ok()) quorum_.Begin(OtherVoters());
    told_.clear();
    offered_.clear();
    leads_since_ns_ = host_->NowNs();
    for (auto& [id, contact] : contacts_) {
      contact.heard_ns = 0;
      contact.round_trip.Restart();
    }
  }
}

void Driver::WriteDone(const Status& status) {
  if (!failure_.ok()) return;
  if (status.code() == StatusCode::kDataLoss) return Fail(status);
  if (!status.ok()) return StorageFailed(status);
  if (!storage_problem_.ok()) StorageWorks();
  WriteQueue::Finished finished = writes_.Finish();
  for (WriteQueue::HeldMessage& message : finished.messages) {
    std::string bytes = std::move(message.bytes);
    if (writes_.MaySend(message.to, &bytes)) host_->Send(message.to, std::move(bytes));
  }
  if (finished.durable_index > status_.last_stored && !status_.installing) {
    if (!Handle(core_->PersistedEntries(NowMs(), finished.durable_index), {})) return;
  }
  if (finished.installed && !FinishInstall(finished.installed)) return;
  if (finished.taken && !FinishTake(finished.taken, finished.trailing)) return;
}

void Driver::Tick() {
  if (!failure_.ok()) return;
  WatchWrite();
  if (failure_.ok() && NowMs() >= status_.timeout_ms) Handle(core_->Timeout(NowMs()), {});
}

void Driver::Pump() {
  if (!failure_.ok()) return;
  AdvanceTransfer();
  SubmitProposals();
  StartWrite();  // while others are applied
  ApplyCommitted();
  DropFetched();
  TellCommitted();
  AdvanceChange();
  AdaptTimeouts();
  TakeSnapshot();
  StartWrite();
  if (!failure_.ok()) return;
  AskLeadership();
  quorum_.Finish(applied_index_);
}

void Driver::StartWrite() {
  if (!failure_.ok()) return;
  auto write = writes_.StartNext();
  if (!write) return;
  write_since_ns_ = host_->NowNs();
  host_->StartWrite(std::move(*write));
}

void Driver::ApplyCommitted() {
  const uint64_t begun_ns = host_->NowNs();
  while (ApplyNext()) {
  }
  // No fault of the disk's, whose thread may be the one that applies.
  if (writes_.writing()) write_since_ns_ += host_->NowNs() - begun_ns;
}

bool Driver::ApplyNext() {
  if (!failure_.ok() || applied_index_ >= status_.commit_index) return false;
  const uint64_t index = applied_index_ + 1;
  // While a snapshot is being installed the entries before it are gone.
  if (index < log_.first_index() || index > log_.last_index()) return false;
  const EntryPtr entry = log_.At(index);
  applied_index_ = index;
  applied_term_ = entry->term();
  bytes_since_snapshot_ += entry->data().size();
  if (entry->type() == pb::ENTRY_TYPE_COMMAND) {
    std::string result =
        machine_->Apply(index, entry->term(), entry->data(), proposals_.WaitFor(index));
    if (const Status health = machine_->health(); !health.ok()) {
      Fail(health);
      return false;
    }
    proposals_.Applied(index, entry->term(), std::move(result));
    return true;
  }
  machine_->Advance(index, entry->term());
  if (entry->type() == pb::ENTRY_TYPE_CONFIGURATION) ApplyConfiguration(index);
  return true;
}

uint64_t Driver::next_tick_ns() const {
  uint64_t due_ns = status_.timeout_ms * kNanosPerMilli;
  // A write that ends, or a transfer, is followed by a Pump.
  const bool gathers = proposals_.has_queued() && !writes_.writing() && Transferee() == 0;
  if (gathers) due_ns = std::min(due_ns, GatherUntilNs());
  if (writes_.writing() && storage_problem_.ok()) due_ns = std::min(due_ns, WriteHangsFromNs());
  return due_ns;
}

View Driver::view() const {
  View view;
  view.role = failure_.ok() ? status_.role : Role::kUnavailable;
  view.term = status_.term;
  view.leader_id = failure_.ok() ? status_.leader_id : 0;
  if (!storage_problem_.ok()) {
    view.storage_problem = ToString(storage_problem_.message());
    if (view.role != Role::kUnavailable) view.role = Role::kFollower;
    if (view.leader_id == options_.id) view.leader_id = 0;
  }
  view.snapshot_problem = snapshot_problem_;
  const Member* leader = FindMember(view.leader_id);
  if (leader != nullptr) view.leader_address = leader->address;
  view.commit_index = status_.commit_index;
  view.applied_index = applied_index_;
  return view;
}

}  // namespace faultline::raft
