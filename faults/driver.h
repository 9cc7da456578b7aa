// What carries out a group's faults on a host: one object per group inside the agent, made by
// faults/drivers.cc. Linux and BPF live behind this interface.
//
// Threads: the agent's strand calls everything but ReadSamples' heavy lifting; a driver's own
// threads (a delay lane) are its own business. Nothing here may block for longer than a system
// call does, but SetTargets, which asks DriverContext::go_on after each target that it looked at,
// took or left.
#pragma once

#include <google/protobuf/any.pb.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "chaos/v1/metrics.pb.h"

namespace faultline::faults {

// Kernel-visible leases, all CLOCK_BOOTTIME nanoseconds: the kernel program compares them with
// bpf_ktime_get_boot_ns() for each matched packet, and passes the packet untouched when any has run
// out. One page, memory-mapped from a BPF array.
struct LeasePage {
  // Written by the agent's heartbeat thread; the guardian zeroes it.
  std::atomic<uint64_t> heartbeat_until_ns;
  // End of the control plane's lease.
  std::atomic<uint64_t> control_until_ns;
  static_assert(std::atomic<uint64_t>::is_always_lock_free);
};

// One fault on one target.
struct FaultKey {
  std::string experiment_id;
  uint32_t fault_index = 0;
  std::string target_id;
  auto operator<=>(const FaultKey&) const = default;
};

// Reason of an Arm that is UNAVAILABLE because it is still being prepared and will soon say more by
// itself: no attempt has failed yet. And of a target whose turn has not come yet.
inline constexpr char kUnderWay[] = "UNDER_WAY";

struct ArmRequest {
  FaultKey key;
  google::protobuf::Any config;  // the kind's parameter message, already validated
  uint64_t seed = 0;
  uint64_t deadline_boottime_ns = 0;
};

// Undoes a deed by its kind and arguments.
using UndoFunction =
    std::function<Status(const std::string& kind, const std::vector<std::string>& arguments)>;

// How a driver says, before the deed, what must be undone if the agent dies: implemented by the
// agent's undo journal. The record is on disk when Record returns. Erase after a clean undo.
// Undo kinds are executed by faults/undo.h in the guardian and at the agent's start.
class UndoLog {
 public:
  virtual ~UndoLog() = default;
  // `kind` names an action of faults/undo.h, `arguments` are its arguments. Result: a handle.
  virtual StatusOr<uint64_t> Record(const std::string& kind,
                                    const std::vector<std::string>& arguments) = 0;
  virtual void Erase(uint64_t handle) = 0;
  // Whoever did the deed could not undo it, for that reason, and has gone: it is tried again, and
  // shown until it is undone.
  virtual void Leave(uint64_t handle, const Status& why) = 0;
  virtual bool IsLeft(uint64_t handle) const = 0;
  // Takes back what was left, by this agent or an earlier one: it is the caller's to undo again,
  // and not tried meanwhile. `same` judges a record's arguments.
  struct Left {
    uint64_t handle;
    std::vector<std::string> arguments;
  };
  virtual std::optional<Left> Reclaim(
      const std::string& kind,
      const std::function<bool(const std::vector<std::string>& arguments)>& same) = 0;

  // After an attempt to undo: Erase or Leave.
  void Finish(uint64_t handle, const Status& undone) {
    undone.ok() ? Erase(handle) : Leave(handle, undone);
  }
};

// The same where there may be no log: a failure is only logged then.
inline void FinishUndo(UndoLog* log, uint64_t handle, const Status& undone) {
  if (log != nullptr) return log->Finish(handle, undone);
  if (!undone.ok()) FL_LOG(error, "{}", ToString(undone.message()));
}

// Most TCP ports that drivers are told to leave alone.
inline constexpr size_t kMaxOwnPorts = 16;

// Called on the strand after each of many things that one task does there, with the time at which
// it began on them (CLOCK_BOOTTIME, in nanoseconds): the strand lives. False when the task has
// lasted long enough, so that the rest is for a later one: others wait for the strand.
using GoOn = std::function<bool(uint64_t begun_ns)>;
inline constexpr auto kGoOnToTheEnd = [](uint64_t) { return true; };

struct DriverContext {
  UndoLog* undo = nullptr;  // outlives the driver
  // Called once, when the lease page exists: the agent hands the file descriptor on to the
  // guardian (the driver keeps owning it) and starts its heartbeat on the page.
  std::function<void(int map_fd, LeasePage* page)> on_lease_page;
  // Where delayed packets wait: "auto", or the name of a lane that the driver has.
  std::string lane = "auto";
  // TCP ports, on either side, that no fault touches unless it says so: those of Faultline's own
  // connections, and others that the agent protects. At most kMaxOwnPorts; those beyond are not
  // protected.
  std::vector<uint16_t> own_ports;
  // For SetTargets.
  GoOn go_on = kGoOnToTheEnd;
};

// What a driver holds at this moment, and what it could not keep in mind.
struct DriverLoad {
  uint64_t held_bytes = 0;  // memory of packets that are being delayed
  uint64_t held_packets = 0;
  // Connections so far that were met in their middle: their beginning was not seen, or forgotten
  // among too many others, and a request of each was not measured. None: those of a target that is
  // measured one way (below) are among what was counted.
  std::optional<uint64_t> met_midway = 0;

  DriverLoad operator+(const DriverLoad& other) const {
    DriverLoad sum{held_bytes + other.held_bytes, held_packets + other.held_packets, std::nullopt};
    if (met_midway && other.met_midway) sum.met_midway = *met_midway + *other.met_midway;
    return sum;
  }
};

// Whether only what the target sends is measured: what comes in belongs to no cgroup yet, and
// without ports nothing else tells that it is the target's.
inline bool IsMeasuredOneWay(const chaos::v1::Target& target) {
  return !target.cgroup().empty() && target.ports().empty();
}

class Driver {
 public:
  // Reverts everything it armed and removes all that it made.
  virtual ~Driver() = default;

  // Capabilities by name ("tc", "tcx", "tun", ...), each with a sentence when missing.
  virtual std::vector<chaos::v1::Capability> Probe() = 0;

  // The targets that there are (the whole set), about once a second: begins to measure the new and
  // lets go of the gone. A target that is not where it was, since its service was started anew for
  // instance, is followed: its old place is left, its new one taken if there is one already. Faults
  // on a target that is let go of or has moved are disarmed. One status per target, in order: why
  // it has no place now. UNAVAILABLE with the reason kUnderWay: there was no time for it
  // (DriverContext::go_on); the next call, which is to come soon, goes on with those that wait, and
  // faults may be armed on them meanwhile.
  virtual std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) = 0;
  // What may keep packets of a target that has a place from faults and measurements, as
  // "TARGET_ID: sentence". Looks each time: to be asked after SetTargets.
  virtual std::vector<std::string> Warnings() const { return {}; }

  // When it returns OK the kernel is armed. Arming a key again with the same config only moves its
  // deadline. FAILED_PRECONDITION with a sentence when the kernel or the target cannot; UNAVAILABLE
  // with the reason kUnderWay while it is not known yet whether they can.
  virtual Status Arm(const ArmRequest& request) = 0;
  // When it returns OK no packet meets the fault any more. What still waits for it is let out at
  // once, or, when it waits in the kernel, within half a second.
  // OK for a key that is not armed.
  virtual Status Disarm(const FaultKey& key) = 0;
  // What is armed, as the driver's kernel state says (not as it remembers).
  virtual std::vector<FaultKey> Armed() = 0;
  // What has become of a fault that was armed and is not in Armed(), in a sentence; empty when that
  // is not known.
  virtual std::string WhyGone(const FaultKey&) const { return {}; }

  // Appends one sample per target with what was measured since the last call.
  virtual void ReadSamples(std::vector<chaos::v1::TargetSample>* samples) = 0;

  virtual DriverLoad Load() { return {}; }
};

// Every group's driver, in the registry's order: the one list (drivers.cc).
struct NamedDriver {
  std::string group;
  std::unique_ptr<Driver> driver;
};
StatusOr<std::vector<NamedDriver>> MakeDrivers(const DriverContext& context);

}  // namespace faultline::faults
