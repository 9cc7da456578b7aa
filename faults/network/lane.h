// The delay lane: one thread that holds matched packets back in user space, because a BPF program
// cannot. Frames come out of TAP devices with an fl_lane_prefix, and go back when their time has
// come.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "bpf/fd.h"
#include "faults/driver.h"
#include "faults/network/datapath.h"
#include "faults/network/delay_times.h"
#include "faults/network/hold_queue.h"
#include "faults/network/lane_input.h"
#include "faults/network/lane_rule.h"
#include "faults/network/waiter.h"

namespace faultline::network {

// Methods may be called from any thread; none waits for longer than the lane's present batch.
class Lane {
 public:
  // Memory for held frames. What comes when it is full is dropped, and counted.
  static constexpr size_t kMaxHeldBytes = size_t{128} << 20;
  // While something is held the leases are looked at this often, since they may be ended early.
  static constexpr uint64_t kLeaseLookNs = 20 * kNanosPerMilli;

  // Starts the thread. `counters` is the shared array of all rules' counters, `delay_times` has
  // their histograms, `parked` is the array of the prefixes of large packets; `tables` says where
  // hooks are, and is told whether trains are cut. When one of the leases has run out, all that is
  // held goes out within kLeaseLookNs. All outlive the lane.
  static StatusOr<std::unique_ptr<Lane>> Start(fl_counters* counters, DelayTimes* delay_times,
                                               const fl_lane_prefix* parked, fl_tables* tables,
                                               const fl_lease* lease);
  // Lets out everything, ends the thread, closes the devices.
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Serves a device: `fd` as Tap::fd, which stays the caller's, until RemoveDevice. `netns` is its
  // network namespace's, as fl_hook::netns: frames of hooks elsewhere are refused, since who is
  // privileged in there may have made them.
  StatusOr<unsigned> AddDevice(int fd, uint32_t netns);
  // Lets out what is held for the device, and forgets it. The caller may close it then.
  void RemoveDevice(unsigned device);

  // Frames of that hook's rule are treated so from now on, but never held beyond the deadline
  // (CLOCK_BOOTTIME).
  void SetRule(unsigned rule, unsigned hook, const LaneRule& what, uint64_t deadline_ns);
  void SetDeadline(unsigned rule, uint64_t deadline_ns);
  // The rule holds nothing any more: its frames go out before this returns, those that other rules
  // hold as well when these say.
  void ClearRule(unsigned rule);

  // What is held at this moment.
  faults::DriverLoad Load();

  // Counts as lane_dropped what the kernel sent to a lane and did not arrive.
  void CountLosses();

 private:
  struct Rule {
    bool active = false;
    unsigned hook = 0;
    LaneRule what;
    uint64_t armed = 0;  // the how-manieth of this lane
    uint64_t deadline_ns = 0;
    uint64_t frames_read = 0;
    uint64_t missing = 0;                    // at the previous CountLosses
    uint64_t losses = 0;                     // counted so far
    std::array<uint64_t, 2> last_sent_ns{};  // by direction, of a slower link
  };

  struct Device {
    int fd = -1;
    uint32_t netns = 0;
  };

  Lane(fl_counters* counters, DelayTimes* delay_times, const fl_lane_prefix* parked,
       fl_tables* tables, const fl_lease* lease)
      : counters_(counters),
        delay_times_(delay_times),
        parked_(parked),
        tables_(tables),
        lease_(lease) {}
  void Run();
  // Asks the devices for what the active rules can treat. Not with mutex_: the kernel may be slow.
  void TellDevices();
  // The following hold mutex_. Returns false when `limit` frames were read and there may be more.
  bool ReadFrames(unsigned device, unsigned limit);
  void DropDevice(unsigned device);
  void Admit(unsigned number, const Device& device);  // what input_ has read
  // What a frame's rules make of it.
  struct Verdict {
    bool drop = false;
    unsigned copies = 0;          // how often it is to go out besides
    std::vector<Answer> answers;  // if any: what goes out instead
  };
  // Asks the frame's rules one after another.
  Verdict Obey(Frame* frame);
  // Queues the frame until its rules have held it for as long as they say.
  void Hold(std::unique_ptr<Frame> frame);
  // Writes out what is due, and everything when a lease has run out.
  void ReleaseDue();
  // To be called by other threads than the lane's, which may sleep until `slept_until_ns`.
  void WakeFor(uint64_t slept_until_ns);
  void WriteOut(std::unique_ptr<Frame> frame);
  void CountSent(const HeldRule& held, uint64_t now_ns);
  void CountDropped(const Frame& frame);

  fl_counters* const counters_;
  DelayTimes* const delay_times_;
  const fl_lane_prefix* const parked_;
  fl_tables* const tables_;
  const fl_lease* const lease_;
  bpf::UniqueFd epoll_;
  bpf::UniqueFd wake_event_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::map<unsigned, Device> devices_;
  unsigned next_device_ = 1;
  std::array<Rule, FL_MAX_RULES> rules_{};
  uint64_t rules_armed_ = 0;
  HoldQueue queue_;
  LaneInput input_;
  std::thread thread_;
};

}  // namespace faultline::network
