// Where the programs are: one hook per interface that a target names, one lane device per network
// namespace in which something is delayed.
#pragma once

#include <array>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/attach.h"
#include "bpf/netns.h"
#include "faults/driver.h"
#include "faults/network/fq_lanes.h"
#include "faults/network/hook_place.h"
#include "faults/network/kernel.h"
#include "faults/network/lane.h"
#include "faults/network/loopback.h"
#include "faults/network/tap.h"

namespace faultline::network {

// One thread.
class Hooks {
 public:
  // A lane's device is removed when nothing has been delayed in its namespace for this long:
  // making one takes milliseconds, removing one tens of them.
  static constexpr std::chrono::seconds kLaneIdle{5};
  // Loopback's settings go back so long after the last rule there: what the lane has let out is
  // through by then, also what the kernel holds.
  static constexpr std::chrono::milliseconds kLoopbackIdle{FL_FQ_MOST_NS / 1'000'000 + 200};

  // All outlive this.
  Hooks(Kernel* kernel, Lane* lane, FqLanes* fq, faults::UndoLog* undo, bpf::AttachMode mode);
  ~Hooks();

  // The hook of a place, with its programs attached; made when it is not there yet. Each
  // Acquire is undone by one Release, the last of which detaches the programs; and the last one in
  // a namespace removes its lane at once, which would keep the namespace from going.
  // Errors as FindPlace. FAILED_PRECONDITION: not Ethernet, refused by the kernel, or seen from
  // its other end by another target. RESOURCE_EXHAUSTED: FL_MAX_HOOKS are in use.
  StatusOr<unsigned> Acquire(const TargetPlace& target);
  void Release(unsigned hook);
  // What one look has found: each name and each hook is asked once.
  struct Look {
    std::map<TargetPlace, StatusOr<HookPlace>> places;
    std::map<unsigned, bool> attached;  // by hook
  };
  // OK while that target's names mean the hook's interface and our programs are on it. Else what
  // has happened: NOT_FOUND when the namespace or interface has gone, UNAVAILABLE when another has
  // the name (a container that was started anew, an interface that was renamed) or somebody has
  // taken our programs off.
  Status StillThere(unsigned hook, const TargetPlace& target, Look* look);
  // Which filters of other people's may keep packets from our programs there, in a sentence; empty:
  // none.
  std::string Warning(unsigned hook) const;

  // Looks up the default gateways of every hook's network, every five seconds; a new hook's are
  // looked up when it is made.
  void FindGateways();

  // The hook's namespace has a lane for the rule from here on until ReleaseLane.
  Status AcquireLane(unsigned hook, const LaneUse& use);
  void ReleaseLane(unsigned hook, const LaneUse& use);
  // False while somebody has taken the lane's device away and no other could be made: packets then
  // pass undelayed.
  bool HasLane(unsigned hook) const;
  // Removes lanes and takes back loopback settings that have been idle, and replaces devices that
  // somebody has removed or shut; to be called about ten times a second, because what is matched
  // until then is lost.
  void TendLanes();

 private:
  struct LaneDevice {
    std::string netns;
    Tap tap;
    unsigned device = 0;  // the lane's number for it; 0: there is none
    unsigned users = 0;
    std::chrono::steady_clock::time_point idle_since;
    // Of the namespace's loopback device, while some of the users are there.
    std::unique_ptr<LoopbackRoutes> loopback;
    unsigned loopback_users = 0;
    std::chrono::steady_clock::time_point loopback_idle_since;
  };
  // Members end in reverse order: the second attachment before the first, which may have made the
  // qdisc that both sit on.
  struct Hook {
    TargetPlace target;  // one of those that share it
    HookPlace place;     // as that one's names mean it
    unsigned users = 0;
    std::unique_ptr<bpf::Attachment> first;
    std::unique_ptr<bpf::Attachment> second;
  };

  StatusOr<std::unique_ptr<bpf::Attachment>> AttachTo(unsigned index, const Hook& hook,
                                                      int program_fd, unsigned direction);
  Status Open(unsigned index, Hook* hook);
  // What the kernel's tables say of a hook that is no more.
  void ForgetPlace(unsigned index);
  void FindGatewaysOf(unsigned hook);
  const Hook* AnyIn(const bpf::NetnsId& id) const;  // null: there is none
  // Our devices in the namespace go by that name of it from here on.
  void NameDevices(const bpf::NetnsId& id, const std::string& netns);
  // Lets undoing the request's attachment be recorded, and be known when it fails.
  void RecordUndo(unsigned index, bpf::AttachRequest* request);
  bool IsHaunted(unsigned index) const;
  void ForgetUndone();
  using Lanes = std::map<bpf::NetnsId, LaneDevice>;

  Status OpenLane(const bpf::NetnsId& id, LaneDevice* lane);
  void CloseLane(const bpf::NetnsId& id, LaneDevice* lane);
  void CloseDoomed();
  static bool Stands(const bpf::NetnsId& id, const LaneDevice& lane);
  void SetLaneIfindex(const bpf::NetnsId& id, int ifindex);

  Kernel* const kernel_;
  Lane* const lane_;
  FqLanes* const fq_;
  faults::UndoLog* const undo_;
  const bpf::AttachMode mode_;
  std::array<std::unique_ptr<Hook>, FL_MAX_HOOKS> hooks_;
  // Hooks' numbers whose programs could not be taken off, by their undo records: the next target
  // must not have one, because what those programs see would be the next one's.
  std::map<uint64_t, unsigned> haunted_;
  Lanes lanes_;
  std::chrono::steady_clock::time_point gateways_found_, stood_;
  std::vector<Tap> doomed_;  // to be taken out of the kernel, and not yet by closing_
  std::future<void> closing_;
};

}  // namespace faultline::network
