// The referee's part in who belongs to the group: what a change may be, and what a majority is
// while it is under way.
#include <algorithm>

#include "sim/referee.h"

namespace faultline::sim {
namespace {

using raft::MemberChange;
namespace pb = raft::pb;

const pb::Member* Find(const pb::Configuration& in, uint64_t id) {
  const auto found = std::find_if(in.members().begin(), in.members().end(),
                                  [id](const pb::Member& member) { return member.id() == id; });
  return found == in.members().end() ? nullptr : &*found;
}

// The single changes that lead from one configuration to the other. A member is added as a learner,
// and a voter becomes none but by being removed: else it is two of them.
std::vector<MemberChange> StepsBetween(const pb::Configuration& from, const pb::Configuration& to) {
  using Kind = MemberChange::Kind;
  std::vector<MemberChange> steps;
  for (const pb::Member& member : from.members()) {
    const pb::Member* after = Find(to, member.id());
    const bool leaves = after == nullptr || (after->learner() && !member.learner());
    if (leaves) steps.push_back({Kind::kRemove, member.id(), ""});
  }
  for (const pb::Member& member : to.members()) {
    const pb::Member* before = Find(from, member.id());
    const bool comes = before == nullptr || (member.learner() && !before->learner());
    if (comes) {
      steps.push_back({Kind::kAdd, member.id(), member.address()});
    } else if (before->address() != member.address()) {
      steps.push_back({Kind::kSetAddress, member.id(), member.address()});
    }
    const bool was_learner = before == nullptr || before->learner();
    if (was_learner && !member.learner()) steps.push_back({Kind::kPromote, member.id(), ""});
  }
  return steps;
}

bool HasAddress(const MemberChange& change) {
  return change.kind == MemberChange::Kind::kAdd || change.kind == MemberChange::Kind::kSetAddress;
}

std::string_view NameOf(MemberChange::Kind kind) {
  switch (kind) {
    case MemberChange::Kind::kAdd:
      return "members added";
    case MemberChange::Kind::kPromote:
      return "members promoted";
    case MemberChange::Kind::kRemove:
      return "members removed";
    default:
      return "members moved";
  }
}

bool AddressesDiffer(const pb::Configuration& configuration) {
  std::set<std::string> addresses;
  for (const pb::Member& member : configuration.members()) addresses.insert(member.address());
  return addresses.size() == static_cast<size_t>(configuration.members_size());
}

size_t CountVoters(const pb::Configuration& configuration) {
  return static_cast<size_t>(std::count_if(configuration.members().begin(),
                                           configuration.members().end(),
                                           [](const pb::Member& m) { return !m.learner(); }));
}

// What the change would have made of it.
bool IsMadeIn(const pb::Configuration& configuration, const MemberChange& change) {
  const pb::Member* member = Find(configuration, change.id);
  if (change.kind == MemberChange::Kind::kRemove) return member == nullptr;
  if (member == nullptr) return false;
  if (change.kind == MemberChange::Kind::kPromote) return !member->learner();
  return member->address() == change.address;
}

}  // namespace

std::string MembersText(const pb::Configuration& configuration) {
  std::string text;
  for (const pb::Member& member : configuration.members()) {
    text += fmt::format("{}{}{}{}", text.empty() ? "" : " ", member.learner() ? "(" : "",
                        member.id(), member.learner() ? ")" : "");
  }
  return text;
}

void Referee::OnMembers(uint64_t node, const std::vector<raft::Member>& members) {
  pb::Configuration& own = own_members_[node];
  own.Clear();
  for (const raft::Member& member : members) {
    pb::Member* added = own.add_members();
    added->set_id(member.id);
    added->set_address(member.address);
    added->set_learner(member.learner);
  }
}

uint64_t Referee::OnChangeAsked(uint64_t node, const MemberChange& change) {
  asks_[node].push_back({next_ask_, change, members_index()});
  return next_ask_++;
}

void Referee::OnChangeAnswered(uint64_t node, uint64_t ask, const Status& status) {
  // LEADERSHIP_LOST: it may come yet.
  if (status.code() == StatusCode::kAborted) return;
  std::vector<Ask>& asks = asks_[node];
  const auto known =
      std::find_if(asks.begin(), asks.end(), [ask](const Ask& a) { return a.number == ask; });
  if (!status.ok()) {
    world_->Count("changes refused");
    asks.erase(known);
  } else if (members_index() == known->since) {
    Violate("node {} calls a change of node {} made, of which no configuration came", node,
            known->change.id);
  }
}

void Referee::OnChangeTold(const MemberChange& change, uint64_t since) {
  if (Shows(change, since)) return;
  Violate("a change of node {} is called made, and is not: the members are {}", change.id,
          MembersText(members()));
}

void Referee::CountTransfer(uint64_t node, uint64_t term) {
  const auto asked = transfers_.find(term - 1);
  const auto before = leaders_.find(term - 1);
  if (asked == transfers_.end() || before == leaders_.end() || before->second == node) return;
  if (asked->second == 0 || asked->second == node) world_->Count("leaderships handed over");
}

uint64_t Referee::ConfigurationBefore(uint64_t node, const raft::LogWrite& write, uint64_t index) {
  Disk& disk = *disks_.at(node);
  for (uint64_t at = index - 1; at > 0; --at) {
    const bool written = at >= write.first_index;
    if (!written && write.clear_log) break;
    const raft::EntryPtr entry = written ? write.entries[at - write.first_index] : disk.At(at);
    if (entry == nullptr) break;
    if (entry->type() == pb::ENTRY_TYPE_CONFIGURATION) return at;
  }
  const raft::SnapshotPtr& snapshot = write.clear_log ? write.snapshot : disk.snapshot();
  return snapshot ? snapshot->metadata.configuration_index() : 0;
}

bool Referee::WasAskedFor(uint64_t leader, const std::vector<MemberChange>& steps,
                          const pb::Configuration& to) const {
  const auto asks = asks_.find(leader);
  if (asks == asks_.end()) return false;
  return std::any_of(asks->second.begin(), asks->second.end(), [&](const Ask& ask) {
    const MemberChange& change = ask.change;
    // The address that a member has moves nobody.
    if (steps.empty()) {
      return change.kind == MemberChange::Kind::kSetAddress && IsMadeIn(to, change);
    }
    return change.kind == steps.front().kind && change.id == steps.front().id &&
           (!HasAddress(change) || change.address == steps.front().address);
  });
}

void Referee::OnConfiguration(uint64_t node, const raft::LogWrite& write, uint64_t index,
                              const pb::Entry& entry) {
  pb::Configuration& to = proposed_[{index, entry.term()}];
  to.ParseFromString(entry.data());
  if (CountVoters(to) == 0 || !AddressesDiffer(to)) {
    return Violate("the configuration at {} has no voter, or one address twice: {}", index,
                   to.ShortDebugString());
  }
  if (index == 1) return;  // what every log begins with
  const uint64_t before = ConfigurationBefore(node, write, index);
  const auto from = in_force_.find(before);
  if (from == in_force_.end()) {
    return Violate(
        "one change at a time: node {} has members {} at {} while those at {} are not "
        "committed",
        node, MembersText(to), index, before);
  }
  const std::vector<MemberChange> steps = StepsBetween(from->second, to);
  if (steps.size() > 1) {
    return Violate("one change at a time: the members {} at {} become {} at {}",
                   MembersText(from->second), before, MembersText(to), index);
  }
  const auto leader = leaders_.find(entry.term());
  if (leader == leaders_.end() || !WasAskedFor(leader->second, steps, to)) {
    Violate(
        "the members become {} at {}: the leader of term {} was not asked for it, or has "
        "refused it",
        MembersText(to), index, entry.term());
  }
}

void Referee::TakeIntoForce(uint64_t index, uint64_t term) {
  const auto proposed = proposed_.find({index, term});
  if (proposed == proposed_.end()) return;
  const pb::Configuration& to = proposed->second;
  for (const pb::Member& member : to.members()) members_ever_.insert(member.id());
  if (!in_force_.empty()) {
    for (const MemberChange& step : StepsBetween(members(), to)) world_->Count(NameOf(step.kind));
    world_->Note("the members are {}", MembersText(to));
  }
  in_force_[index] = to;
}

size_t Referee::Holders(const pb::Configuration& configuration, uint64_t index, uint64_t term) {
  return static_cast<size_t>(std::count_if(
      configuration.members().begin(), configuration.members().end(), [&](const pb::Member& m) {
        const auto disk = disks_.find(m.id());
        return !m.learner() && disk != disks_.end() && disk->second->Holds(index, term);
      }));
}

void Referee::CheckDurable(uint64_t node, uint64_t index, uint64_t term) {
  const auto after = in_force_.upper_bound(index);
  if (after == in_force_.begin()) {
    return Violate("node {} applies entry {} before any configuration", node, index);
  }
  const pb::Configuration& in_force = std::prev(after)->second;
  const auto is_majority = [&](const pb::Configuration& of) {
    return 2 * Holders(of, index, term) > CountVoters(of);
  };
  if (is_majority(in_force)) return;
  // It is applied first by the leader that finds it committed. The newest configuration in that
  // one's memory counts, committed and written or not: it may be a later one.
  const auto own = own_members_.find(node);
  if (own != own_members_.end() && is_majority(own->second)) return;
  Violate("node {} applies entry {} of term {}, which is durable on {} of {} voters only", node,
          index, term, Holders(in_force, index, term), CountVoters(in_force));
}

const pb::Configuration& Referee::members() const {
  return in_force_.empty() ? pb::Configuration::default_instance() : in_force_.rbegin()->second;
}

bool Referee::IsMember(uint64_t node) const { return Find(members(), node) != nullptr; }

bool Referee::Shows(const MemberChange& change, uint64_t since) const {
  return std::any_of(in_force_.lower_bound(since), in_force_.end(),
                     [&](const auto& in_force) { return IsMadeIn(in_force.second, change); });
}

}  // namespace faultline::sim
