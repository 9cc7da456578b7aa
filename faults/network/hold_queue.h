// What a delay lane holds: frames by release time, order kept inside a flow. Pure, one thread.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "faults/network/datapath.h"
#include "faults/network/lane_frame.h"

namespace faultline::network {

struct FlowKey {
  uint32_t hash = 0;
  uint16_t hook = 0;
  uint8_t direction = 0;
  bool overtaken = false;  // those of the flow that the rest may overtake
  bool operator==(const FlowKey&) const = default;
};

// One rule of a held frame, and how long it holds it.
struct HeldRule {
  unsigned rule = 0;
  uint64_t delay_ns = 0;
  // Of a slower link: what it sends, which way, and whether it had others to send before.
  uint32_t link_bytes = 0;
  uint8_t direction = 0;
  bool waited = false;
  bool drawn = false;  // the delay is one of many that it could have been
  // No delay to be measured: the rule means others, or the frame was answered before it came to it.
  bool not_meant = true;
};

struct Frame {
  FlowKey flow;
  unsigned lane = 0;      // which device it came from, and goes back to
  uint64_t t0_ns = 0;     // CLOCK_BOOTTIME, when the kernel matched it
  uint64_t asked_ns = 0;  // sum of its rules' delays
  bool is_copy = false;   // of a frame that is accounted for already
  // The end of a rule or of its device lets it out, or it waits for others of its flow: how long it
  // waited is no rule's delay. Goes with the release time.
  bool cut_short = false;
  uint8_t rule_count = 0;
  std::array<HeldRule, FL_MAX_RULES_PER_PACKET> rules;
  ReturnFrame what;
  std::vector<ReturnFrame> behind;  // goes out with it, right behind it

  Frame* next = nullptr;  // HoldQueue's own

  size_t TakenBytes() const {
    size_t bytes = sizeof(Frame) + std::max(what.size_bytes, what.room_bytes);
    for (const ReturnFrame& frame : behind) bytes += frame.size_bytes;
    return bytes;
  }
};

// A frame's release time frees the *oldest* held frame of its flow: with jitter the times keep
// their distribution, and the frames their order. But no frame takes a release time before those
// that the frames before it are to be held until whatever is drawn (their floors): what a fault
// picks of a flow has its delay, and what is behind waits.
class HoldQueue {
 public:
  HoldQueue() = default;
  ~HoldQueue();
  HoldQueue(const HoldQueue&) = delete;
  HoldQueue& operator=(const HoldQueue&) = delete;

  // Holds the frame until it is due. `floor_ns`: how much of that was not drawn.
  void Push(std::unique_ptr<Frame> frame, uint64_t due_ns, uint64_t floor_ns = 0);
  // Whether frames of that flow are held.
  bool Holds(const FlowKey& flow) const { return flows_.contains(flow); }

  // Earliest release time; UINT64_MAX when empty.
  uint64_t NextReleaseNs() const;
  // Bytes of the frame that the earliest release time frees; 0 when empty.
  size_t NextBytes() const;
  // That frame. Not when empty.
  std::unique_ptr<Frame> Pop();

  // Takes everything out, in the order of release.
  std::vector<std::unique_ptr<Frame>> TakeAll();

  size_t size() const { return releases_.size(); }
  // Memory that the frames take.
  size_t held_bytes() const { return held_bytes_; }

 private:
  struct Flow {
    Frame* oldest = nullptr;
    Frame* newest = nullptr;
    uint64_t floor_ns = 0;  // the highest of those before
  };
  struct HashFlow {
    size_t operator()(const FlowKey& key) const {
      return (size_t{key.hash} << 16) ^ (size_t{key.hook} << 2) ^ (size_t{key.overtaken} << 1) ^
             key.direction;
    }
  };
  using Flows = std::unordered_map<FlowKey, Flow, HashFlow>;
  struct Release {
    uint64_t at_ns;
    uint64_t sequence;  // equal times in order of arrival
    bool cut_short;
    Flows::value_type* flow;
    auto operator<=>(const Release&) const = default;
  };

  Flows flows_;
  std::priority_queue<Release, std::vector<Release>, std::greater<>> releases_;
  uint64_t sequence_ = 0;
  size_t held_bytes_ = 0;
};

}  // namespace faultline::network
