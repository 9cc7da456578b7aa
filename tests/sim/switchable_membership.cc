#include "sim/switchable_membership.h"

// The real one, under another name.
#define Changed RealChanged
#include "raft/membership.cc"
#undef Changed

namespace faultline::sim {

MembershipDefects& Defects() {
  static MembershipDefects defects;
  return defects;
}

}  // namespace faultline::sim

namespace faultline::raft {

StatusOr<pb::Configuration> Changed(const pb::Configuration& from, const MemberChange& change) {
  using Kind = MemberChange::Kind;
  const sim::MembershipDefects& defects = sim::Defects();
  auto to = RealChanged(from, change);
  if (!to.ok()) return to;
  if (defects.voters_at_once && change.kind == Kind::kAdd) {
    for (pb::Member& member : *to->mutable_members()) member.set_learner(false);
  }
  if (defects.two_at_once && change.kind == Kind::kRemove && CountVoters(*to) > 1) {
    const auto last = std::find_if(to->members().rbegin(), to->members().rend(),
                                   [](const pb::Member& member) { return !member.learner(); });
    const auto at = static_cast<int>(std::distance(last, to->members().rend())) - 1;
    to->mutable_members()->DeleteSubrange(at, 1);
  }
  if (defects.wrong_one && change.kind == Kind::kRemove && from.members_size() > 1) {
    to = from;
    const int at = Find(from, change.id);
    to->mutable_members()->DeleteSubrange(at == 0 ? 1 : at - 1, 1);
  }
  return to;
}

}  // namespace faultline::raft
