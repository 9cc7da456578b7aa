// Delays that the kernel holds by itself: a pair of devices in each network namespace where a rule
// asks for one, which hooks use it, and what got lost in it.
//
// A flow's packets keep their order as long as all of them take the same lane. So a hook leaves
// everything to the TAP lane while a rule that picks among a flow's packets stands beside another
// rule there.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/status.h"
#include "bpf/attach.h"
#include "bpf/netns.h"
#include "faults/driver.h"
#include "faults/network/fq_pair.h"
#include "faults/network/hook_place.h"
#include "faults/network/kernel.h"

namespace faultline::network {

// What the kernel makes of a packet that is to wait: kAuto takes fq where the kernel has it.
enum class LaneChoice { kAuto, kTap, kFq };

// A rule of the lane's, as far as the choice goes.
struct LaneUse {
  unsigned rule = 0;
  bool holds = false;  // it has an fl_rule::hold_ns
  bool picks = false;  // of a flow's packets it may take some and leave others
};

// One thread.
class FqLanes {
 public:
  // Memory for held packets of all namespaces. What comes when it is full is dropped, and counted.
  static constexpr uint64_t kMaxHeldBytes = uint64_t{128} << 20;
  // A pair is removed when no rule has asked for one in its namespace for this long.
  static constexpr std::chrono::seconds kIdle{5};
  // With more namespaces than these it is looked only so often whether their devices, and those of
  // the TAP lanes, are still there.
  static constexpr size_t kFew = 16;
  static constexpr std::chrono::seconds kLook{1};
  // A packet that has not come back so long after the end of its epoch, which is as long, has been
  // lost.
  static constexpr std::chrono::nanoseconds kLost{FL_FQ_MOST_NS + 2'000'000'000};

  // All outlive this. `most_bytes` is kMaxHeldBytes or less.
  FqLanes(Kernel* kernel, faults::UndoLog* undo, bpf::AttachMode mode, LaneChoice choice,
          uint64_t most_bytes);
  ~FqLanes();

  // The rule, with its counters at 0, is about to match on the hook. With kFq the status of making
  // the pair; else that failure is logged, and the TAP lane holds all.
  Status Add(unsigned hook, const HookPlace& place, const LaneUse& use);
  // The namespace goes by that name from here on.
  void Rename(const bpf::NetnsId& id, const std::string& netns);
  // The rule does not match any more. What is held for it comes out in its time.
  void Remove(unsigned hook, const LaneUse& use);
  // No hook is in the namespace any more, so nothing held can go back there; the pair goes at once,
  // since its descriptor would keep the namespace from going.
  void Leave(const bpf::NetnsId& id);

  // Removes idle pairs, replaces those that somebody took away, and counts as lane_dropped what got
  // lost; to be called about ten times a second.
  void Tend();

  // What is held at this moment.
  faults::DriverLoad Load() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Pair {
    std::string netns;
    std::unique_ptr<FqPair> devices;  // null: they could not be made
    unsigned users = 0;               // rules that hold
    Clock::time_point idle_since;
  };
  struct Hook {
    bpf::NetnsId netns_id;
    unsigned rules = 0;
    unsigned holding = 0;
    unsigned picking = 0;
  };

  Status Open(const bpf::NetnsId& id, Pair* pair);
  void Publish(unsigned hook);
  // Begins the other epoch, which ended kLost ago, anew: counts what got lost in it, and gives its
  // memory back.
  void BeginEpoch();

  Kernel* const kernel_;
  faults::UndoLog* const undo_;
  const bpf::AttachMode mode_;
  const LaneChoice choice_;
  const uint64_t most_bytes_;
  std::map<bpf::NetnsId, Pair> pairs_;
  std::map<unsigned, Hook> hooks_;
  std::set<unsigned> rules_;
  Clock::time_point epoch_began_, stood_;
};

}  // namespace faultline::network
