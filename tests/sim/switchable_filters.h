// raft/filters.h with a switch for each of libraft's defects, so that tests can show what each
// filter is for. Takes the place of raft/filters.cc at link time.
#pragma once

namespace faultline::sim {

// Which filters are at work; all of them at first.
struct FilterSwitches {
  bool a = true;      // late vote results
  bool b = true;      // late rejections
  bool c = true;      // appends that begin below the snapshot
  bool d = true;      // pre-vote rejections with the requester's term
  bool e = true;      // votes whatever the own configuration says: no filter, raft/libraft_core.c
  bool f = true;      // answers to an earlier term
  bool split = true;  // configurations that are not the first of their batch
};
FilterSwitches& Filters();

}  // namespace faultline::sim
