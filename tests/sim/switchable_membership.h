// raft/membership.h with switches that break its rules, so that tests can show that the referee
// sees what comes of it in whole systems. Takes the place of raft/membership.cc at link time.
#pragma once

namespace faultline::sim {

// What is wrong with the configurations that a change makes; nothing at first.
struct MembershipDefects {
  bool two_at_once = false;     // with a member that is removed another voter goes
  bool voters_at_once = false;  // who is added votes at once, with an empty log
  bool wrong_one = false;       // another member is removed than was named
};
MembershipDefects& Defects();

}  // namespace faultline::sim
