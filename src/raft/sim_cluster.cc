#include "raft/sim_cluster.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "raft/sim_member.h"

namespace faultline::raft {
namespace {

constexpr uint64_t kMs = kNanosPerMilli;

}  // namespace

SimCluster::SimCluster(uint64_t seed, uint64_t size, const SimFaults& faults)
    : random_(seed), faults_(faults) {
  snapshot_every_ = Between(15, 200);
  snapshot_trailing_ = Between(0, 40);
  members_.resize(size + 1);
  for (uint64_t id = 1; id <= size; ++id) addresses_.push_back({id, fmt::format("m{}", id)});
  const LogWrite initial = InitialLog(addresses_);
  for (uint64_t id = 1; id <= size; ++id) {
    members_[id] = std::make_unique<Member>(this, id);
    members_[id]->clock_ahead_ns = Between(0, 1'000) * kNanosPerSecond;
    members_[id]->disk.Apply(initial);
    StartMember(id);
  }
}

SimCluster::~SimCluster() = default;

bool SimCluster::Chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1.0p-53 < probability;
}

uint64_t SimCluster::Between(uint64_t low, uint64_t high) {
  return low + random_() % (high - low + 1);
}

void SimCluster::At(uint64_t time_ns, std::function<void()> run) {
  events_.push({time_ns, order_++, std::move(run)});
}

bool SimCluster::RunUntil(uint64_t time_ns, const std::function<bool()>& done) {
  while (violation_.empty() && !events_.empty() && events_.top().time_ns <= time_ns) {
    const Event event = events_.top();
    events_.pop();
    now_ns_ = std::max(now_ns_, event.time_ns);
    event.run();
    if (done && done()) return true;
  }
  now_ns_ = std::max(now_ns_, time_ns);
  return false;
}

void SimCluster::Violate(const std::string& what) {
  if (violation_.empty()) violation_ = fmt::format("{} (at {} ms)", what, now_ns_ / kMs);
}

void SimCluster::StartMember(uint64_t id) {
  Member& member = *members_[id];
  Options options;
  options.id = id;
  options.election_timeout = std::chrono::milliseconds(150);
  options.heartbeat = std::chrono::milliseconds(30);
  options.seed = random_();
  options.snapshot_every = snapshot_every_;
  options.snapshot_trailing = snapshot_trailing_;
  ++member.life;
  member.armed_ns = 0;
  member.digest = 0;
  member.driver = std::make_unique<Driver>(options, &member, &member);
  const Status status = member.driver->Start(member.disk.Load());
  if (!status.ok()) Violate(fmt::format("member {} does not start: {}", id, status.ToString()));
  AfterStep(member);
}

void SimCluster::CrashMember(uint64_t id) {
  Member& member = *members_[id];
  if (member.driver == nullptr) return;
  // A write that was under way is there as a whole or not at all.
  if (member.writing != nullptr && Chance(0.5)) member.disk.Apply(*member.writing);
  member.writing = nullptr;
  ++member.life;
  member.driver = nullptr;
}

void SimCluster::CrashSoon(uint64_t id, uint64_t after_ns, uint64_t down_ns) {
  At(now_ns_ + after_ns, [this, id, down_ns, life = members_[id]->life] {
    if (members_[id]->life != life || now_ns_ >= end_of_faults_ns_) return;
    CrashMember(id);
    At(now_ns_ + down_ns, [this, id, crashed = members_[id]->life] {
      if (members_[id]->driver == nullptr && members_[id]->life == crashed) StartMember(id);
    });
  });
}

void SimCluster::AfterStep(Member& member) {
  member.driver->Pump();
  if (!member.driver->failure().ok()) {
    Violate(fmt::format("member {} failed: {}", member.id, member.driver->failure().ToString()));
    return;
  }
  CheckLeader(member);
  const uint64_t due_ns =
      std::max(member.driver->next_tick_ns() - member.clock_ahead_ns, now_ns_ + kMs);
  if (member.armed_ns > now_ns_ && member.armed_ns <= due_ns) return;
  member.armed_ns = due_ns;
  At(due_ns, [this, &member, life = member.life] {
    if (life != member.life || member.driver == nullptr) return;
    member.driver->Tick();
    AfterStep(member);
  });
}

void SimCluster::CheckLeader(const Member& member) {
  const View view = member.driver->view();
  if (view.role != Role::kLeader) return;
  const auto [found, added] = leaders_.try_emplace(view.term, Elected{member.id, now_ns_});
  if (found->second.id != member.id) {
    Violate(
        fmt::format("members {} and {} both lead term {}", found->second.id, member.id, view.term));
  }
  const auto later = std::next(found);
  const uint64_t quorum_ns = member.driver->quorum_ns();
  if (quorum_ns != 0 && later != leaders_.end() &&
      later->second.time_ns + member.clock_ahead_ns <= quorum_ns) {
    Violate(fmt::format("member {} believes in its quorum of term {} after term {} began",
                        member.id, view.term, later->first));
  }
}

void SimCluster::NoteState(uint64_t index, uint64_t digest, const std::string& command) {
  const auto [found, added] = applied_.try_emplace(index, Applied{digest, command});
  if (found->second.digest != digest || found->second.command != command) {
    Violate(fmt::format("different states at index {}: '{}' and '{}'", index, found->second.command,
                        command));
  }
  // The first is the configuration that every log begins with.
  if (added && index > 1) CheckDurable(index, command);
}

void SimCluster::CheckDurable(uint64_t index, const std::string& command) {
  const auto holders = std::count_if(members_.begin() + 1, members_.end(), [&](const auto& member) {
    const SimDisk& disk = member->disk;
    if (disk.snapshot && disk.snapshot->metadata.last_index() >= index) return true;
    const auto entry = disk.entries.find(index);
    return entry != disk.entries.end() && (command.empty() || entry->second->data() == command);
  });
  if (2 * static_cast<size_t>(holders) < members_.size()) {
    Violate(fmt::format("{} is applied and durable on {} of {} members only", index, holders,
                        members_.size() - 1));
  }
}

void SimCluster::Transmit(uint64_t from, uint64_t to, std::string bytes) {
  const int copies = Chance(faults_.loss) ? 0 : Chance(faults_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const uint64_t delay =
        Chance(faults_.late) ? Between(0, 1'000) * kMs : Between(kMs / 20, 2 * kMs);
    At(now_ns_ + delay, [this, from, to, bytes] { Deliver(from, to, bytes); });
  }
}

void SimCluster::Deliver(uint64_t from, uint64_t to, const std::string& bytes) {
  Member& member = *members_[to];
  if (member.driver == nullptr || cut_.count({from, to}) > 0) return;
  member.driver->Receive(from, bytes);
  AfterStep(member);
}

void SimCluster::ProposeTo(Member& member) {
  const std::string command = std::to_string(++next_command_);
  member.driver->Propose(command, [this, command](const StatusOr<Node::Committed>& result) {
    if (!result.ok()) return;
    if (result->result != command) Violate("an answer to another command");
    acknowledged_[result->index] = command;
  });
}

void SimCluster::ReadFrom(Member& member) {
  const uint64_t seen = acknowledged_.empty() ? 0 : acknowledged_.rbegin()->first;
  member.driver->ReadBarrier([this, seen, &member](const Status& status) {
    if (!status.ok()) return;
    ++reads_;
    if (member.driver->view().applied_index < seen) {
      Violate(fmt::format("member {} answered a read before it had applied {}", member.id, seen));
    }
  });
}

void SimCluster::ClientStep() {
  if (now_ns_ >= end_of_faults_ns_) return;
  for (auto& member : members_) {
    if (member == nullptr || member->driver == nullptr || !Chance(0.7)) continue;
    const uint64_t commands = Between(0, 3);
    for (uint64_t i = 0; i < commands; ++i) ProposeTo(*member);
    if (Chance(0.3)) ReadFrom(*member);
    AfterStep(*member);
  }
  At(now_ns_ + Between(1, 12) * kMs, [this] { ClientStep(); });
}

void SimCluster::FaultStep() {
  if (now_ns_ >= end_of_faults_ns_) return;
  const uint64_t size = members_.size() - 1;
  if (faults_.crashes && Chance(0.4)) {
    const bool all = Chance(0.1);
    const uint64_t one = Between(1, size);
    for (uint64_t id = 1; id <= size; ++id) {
      if (all || id == one) CrashSoon(id, 0, Between(1, 600) * kMs);
    }
  }
  if (faults_.partitions && Chance(0.5)) {
    Partition();
  } else if (Chance(0.5)) {
    cut_.clear();
  }
  At(now_ns_ + Between(50, 500) * kMs, [this] { FaultStep(); });
}

void SimCluster::Partition() {
  cut_.clear();
  const uint64_t size = members_.size() - 1;
  std::vector<bool> side(size + 1);
  for (uint64_t id = 1; id <= size; ++id) side[id] = Chance(0.5);
  const double thoroughness = Chance(0.6) ? 1.0 : 0.7;  // else some links remain, in one direction
  for (uint64_t from = 1; from <= size; ++from) {
    for (uint64_t to = 1; to <= size; ++to) {
      if (side[from] != side[to] && Chance(thoroughness)) cut_.insert({from, to});
    }
  }
}

void SimCluster::RunWithFaults(uint64_t duration_ns) {
  end_of_faults_ns_ = now_ns_ + duration_ns;
  At(now_ns_, [this] { ClientStep(); });
  At(now_ns_ + 300 * kMs, [this] { FaultStep(); });
  RunUntil(end_of_faults_ns_, nullptr);
}

bool SimCluster::Converges(uint64_t limit_ns) {
  faults_ = {};
  cut_.clear();
  for (uint64_t id = 1; id < members_.size(); ++id) {
    if (members_[id]->driver == nullptr) StartMember(id);
  }
  uint64_t last = 0;
  uint64_t next_try_ns = 0;
  const bool converged = RunUntil(now_ns_ + limit_ns, [&] {
    if (last == 0 && now_ns_ >= next_try_ns) {
      next_try_ns = now_ns_ + 100 * kMs;
      for (auto& member : members_) {
        if (member == nullptr || member->driver->view().role != Role::kLeader) continue;
        member->driver->Propose("last", [&](const StatusOr<Node::Committed>& result) {
          if (result.ok()) last = result->index;
        });
        AfterStep(*member);
      }
    }
    return last != 0 && std::all_of(members_.begin() + 1, members_.end(), [&](auto& member) {
             return member->driver->view().applied_index >= last;
           });
  });
  if (!converged) return false;
  for (const auto& [index, command] : acknowledged_) {
    if (applied_[index].command != command) {
      Violate(fmt::format("'{}' was acknowledged at {} and is not there", command, index));
    }
  }
  CompareLogs();
  return true;
}

void SimCluster::CompareLogs() {
  for (uint64_t a = 1; a < members_.size(); ++a) {
    const EntryLog& left = members_[a]->driver->log();
    const EntryLog& right = members_[a % (members_.size() - 1) + 1]->driver->log();
    const uint64_t first = std::max(left.first_index(), right.first_index());
    const uint64_t last = std::min(left.last_index(), right.last_index());
    for (uint64_t index = first; index <= last; ++index) {
      if (left.At(index)->term() == right.At(index)->term() &&
          left.At(index)->data() != right.At(index)->data()) {
        Violate(fmt::format("logs differ at {} within one term", index));
      }
    }
  }
}

}  // namespace faultline::raft
