// Versions of the replicated state machine. Every command names the lowest version that knows it,
// and the state holds the version that the whole cluster has switched to: RaiseVersion raises it
// once every member supports the next one. What a version changed:
//   1  the first
//   2  the finished experiments that are forgotten are those that ended first
//   3  RecordReport: an ended experiment's report
//   4  MoveWebhooks, and the notices in experiments' records that webhooks are made from
//   5  a RecordReport's measurements tell of traffic
//   6  and of rare events in it
//   7  an agent's PENDING: what was ACTIVE waits for its target, and why
//   8  a report that has no room for all gives up courses before histograms, and says what it left
//      out
//   9  and tells how long faults' packets waited; its parts are put together by the agent's clock
//  10  an agent's registration tells the lease that its node grants; a report's parts tell a
//      fault's armings apart, and name other experiments on its targets; an experiment that its
//      agents revert when its time is up has expired
//  11  and webhooks are told of its stop
//
// A new version adds a line here, raises kNewestVersion, names in VersionOf the commands that need
// it, and asks State::version wherever the same command now does something else. It goes on
// applying all that the version before it knows: programs of two neighbouring versions work
// together.
#pragma once

#include <cstdint>

#include "control/v1/command.pb.h"

namespace faultline::control {

inline constexpr uint32_t kFirstVersion = 1;
inline constexpr uint32_t kNewestVersion = 11;

// Lowest version that knows the command.
uint32_t VersionOf(const ::control::v1::Command& command);

}  // namespace faultline::control
