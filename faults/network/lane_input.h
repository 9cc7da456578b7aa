// Reading frames from a lane's device so that a large one is copied by the kernel only: to where it
// stays until it goes back.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "faults/network/lane_frame.h"

namespace faultline::network {

// Used by one thread at a time.
class LaneInput {
 public:
  // What a large frame takes, however long it is.
  static constexpr size_t kRoomBytes = 66 * 1024;

  LaneInput();

  // Reads one frame from the device, as read(2); one that was read before is forgotten.
  ssize_t Read(int fd);
  // Finds the prefix of the frame, in it or in the array `parked`. False when the frame is not one
  // that the programs sent.
  bool FindPrefix(const fl_lane_prefix* parked, fl_lane_prefix* prefix);
  size_t size_bytes() const { return size_bytes_; }
  // The frame as it goes back; `prefix` is what FindPrefix found. Once for each.
  ReturnFrame Take(const fl_lane_prefix& prefix);

  // Keeps a frame's room for another.
  void GiveBack(ReturnFrame frame);
  // Frees what is kept.
  void Trim() { spare_.clear(); }

 private:
  static constexpr size_t kMostSpare = 32;

  std::unique_ptr<uint8_t[]> MakeRoom();
  // The frame's bytes, one after another; there is space for them.
  void Gather(uint8_t* to) const;

  std::vector<std::unique_ptr<uint8_t[]>> spare_;  // first: room_ is made of it
  size_t size_bytes_ = 0;
  bool carried_ = false;  // the frame carries its prefix
  // A frame's beginning, what follows, and what does not fit in there.
  std::array<uint8_t, kPrefixedHeadBytes> head_;
  std::unique_ptr<uint8_t[]> room_;
  std::unique_ptr<uint8_t[]> more_, linear_;
};

}  // namespace faultline::network
