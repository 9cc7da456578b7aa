#include "raft/membership.h"

#include <algorithm>
#include <utility>

namespace faultline::raft {
namespace {

int Find(const pb::Configuration& configuration, uint64_t id) {
  for (int i = 0; i < configuration.members_size(); ++i) {
    if (configuration.members(i).id() == id) return i;
  }
  return -1;
}

size_t CountVoters(const pb::Configuration& configuration) {
  return static_cast<size_t>(std::count_if(configuration.members().begin(),
                                           configuration.members().end(),
                                           [](const pb::Member& m) { return !m.learner(); }));
}

Status CheckAddress(const pb::Configuration& configuration, const MemberChange& change) {
  if (change.address.empty())
    return FieldError("address", "", "host:port of the node's peer listener");
  for (const pb::Member& member : configuration.members()) {
    if (member.address() != change.address || member.id() == change.id) continue;
    return FieldError("address", change.address,
                      fmt::format("an address that node {} does not have", member.id()),
                      "ADDRESS_IN_USE", StatusCode::kAlreadyExists);
  }
  return absl::OkStatus();
}

Status NoSuchMember(uint64_t id) {
  return FieldError("node_id", std::to_string(id), "the id of a member", "MEMBER_NOT_FOUND",
                    StatusCode::kNotFound);
}

// With its address: who asked may have added it.
Status MemberExists(const pb::Member& member) {
  Status status =
      FieldError("node_id", std::to_string(member.id()),
                 fmt::format("an id that no member has: that one is at {}", member.address()),
                 "MEMBER_EXISTS", StatusCode::kAlreadyExists);
  chaos::v1::ErrorDetail detail = *DetailOf(status);
  (*detail.mutable_metadata())["address"] = member.address();
  AttachDetail(status, detail);
  return status;
}

StatusOr<pb::Configuration> Added(const pb::Configuration& from, const MemberChange& change) {
  if (change.id == 0) return FieldError("node_id", "0", "above 0");
  if (const int at = Find(from, change.id); at >= 0) return MemberExists(from.members(at));
  FL_RETURN_IF_ERROR(CheckAddress(from, change));
  if (from.members_size() >= kMaxMembers) {
    return MakeDetailedError(
        StatusCode::kFailedPrecondition, "TOO_MANY_MEMBERS",
        fmt::format("the cluster has {} members, and cannot have more; remove one first",
                    kMaxMembers));
  }
  pb::Configuration to;
  const auto add = [&] {
    pb::Member* member = to.add_members();
    member->set_id(change.id);
    member->set_address(change.address);
    member->set_learner(true);
  };
  bool added = false;
  for (const pb::Member& member : from.members()) {
    if (!added && member.id() > change.id) add(), added = true;
    *to.add_members() = member;
  }
  if (!added) add();
  return to;
}

}  // namespace

std::vector<Member> MembersOf(const pb::Configuration& configuration) {
  std::vector<Member> members;
  for (const pb::Member& member : configuration.members()) {
    members.push_back({member.id(), member.address(), member.learner()});
  }
  return members;
}

StatusOr<pb::Configuration> Changed(const pb::Configuration& from, const MemberChange& change) {
  if (change.kind == MemberChange::Kind::kAdd) return Added(from, change);
  const int at = Find(from, change.id);
  if (at < 0) return NoSuchMember(change.id);
  pb::Configuration to = from;
  switch (change.kind) {
    case MemberChange::Kind::kPromote:
      if (!from.members(at).learner()) {
        return FieldError("node_id", std::to_string(change.id), "a learner: it is a voter already",
                          "MEMBER_IS_VOTER", StatusCode::kFailedPrecondition);
      }
      to.mutable_members(at)->set_learner(false);
      break;
    case MemberChange::Kind::kRemove:
      to.mutable_members()->DeleteSubrange(at, 1);
      if (CountVoters(to) == 0) {
        return MakeDetailedError(StatusCode::kFailedPrecondition, "LAST_VOTER",
                                 fmt::format("node {} is the only voter", change.id));
      }
      break;
    default:
      FL_RETURN_IF_ERROR(CheckAddress(from, change));
      to.mutable_members(at)->set_address(change.address);
      break;
  }
  return to;
}

Status CheckKeepsQuorum(const pb::Configuration& to, uint64_t moved,
                        const std::function<bool(uint64_t id)>& reachable) {
  size_t voters = 0;
  std::string missing;
  size_t present = 0;
  for (const pb::Member& member : to.members()) {
    if (member.learner()) continue;
    ++voters;
    if (member.id() != moved && reachable(member.id())) {
      ++present;
    } else {
      missing += fmt::format("{}{}{}", missing.empty() ? "" : ", ", member.id(),
                             member.id() == moved ? " (at a new address, which may be wrong)" : "");
    }
  }
  if (present > voters / 2) return absl::OkStatus();
  return MakeDetailedError(
      StatusCode::kFailedPrecondition, "QUORUM_AT_RISK",
      fmt::format("the change would leave {} of {} voters reachable, which is no majority: node {} "
                  "cannot be reached",
                  present, voters, missing));
}

void Configurations::Reset(uint64_t index, pb::Configuration configuration) {
  all_.clear();
  all_.push_back({index, std::move(configuration)});
  committed_index_ = index;
}

void Configurations::Append(uint64_t index, pb::Configuration configuration) {
  all_.push_back({index, std::move(configuration)});
}

void Configurations::RemoveFrom(uint64_t index) {
  while (!all_.empty() && all_.back().index >= index && all_.back().index > committed_index_) {
    all_.pop_back();
  }
}

void Configurations::Commit(uint64_t index) {
  committed_index_ = index;
  while (all_.size() > 1 && all_.front().index < index) all_.pop_front();
}

const pb::Configuration& Configurations::committed() const {
  return committed_index_ == 0 ? pb::Configuration::default_instance() : all_.front().configuration;
}

const pb::Configuration& Configurations::latest() const {
  return all_.empty() ? pb::Configuration::default_instance() : all_.back().configuration;
}

}  // namespace faultline::raft
