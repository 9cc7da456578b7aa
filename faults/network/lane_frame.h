// The form of frames on their way through a lane's device, each behind a virtio_net_hdr. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "faults/network/datapath.h"

namespace faultline::network {

// Reads the prefix of a frame that came out of the device, wherever a VLAN tag put its second part.
// False when the frame cannot be one that the programs sent: others in the device's namespace may
// send frames to it as well. What is in the prefix is below its limits then, not yet true.
bool ReadPrefix(const uint8_t* bytes, size_t size, fl_lane_prefix* prefix);

// The same for a frame whose prefix is in the array `parked` (FL_PARKED of them), for one that
// ReadPrefix has refused.
bool ReadParked(const uint8_t* bytes, size_t size, const fl_lane_prefix* parked,
                fl_lane_prefix* prefix);

// What stands before each frame: struct virtio_net_hdr, whose own header is not C++.
struct VnetHeader {
  static constexpr uint8_t kNeedsChecksum = 1;
  static constexpr uint8_t kNoGso = 0;
  static constexpr uint8_t kGsoUdp = 5;

  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};

// A frame as it goes back: the return tag in place of the prefix, offsets moved accordingly.
struct ReturnFrame {
  std::unique_ptr<uint8_t[]> bytes;
  size_t size_bytes = 0;
  size_t room_bytes = 0;  // what `bytes` takes, when that is more; else 0
};
// `prefix` is what ReadPrefix found in these bytes.
ReturnFrame Rebuild(const uint8_t* bytes, size_t size, const fl_lane_prefix& prefix);
// The same for a frame without a VLAN tag whose rest behind the prefix and the addresses is where
// it is to be: turns its first kPrefixedHeadBytes into the first kReturnHeadBytes of what goes
// back.
inline constexpr size_t kAddressesBytes = 12;
inline constexpr size_t kReturnTagBytes = 4;
inline constexpr size_t kReturnHeadBytes = sizeof(VnetHeader) + kAddressesBytes + kReturnTagBytes;
inline constexpr size_t kPrefixedHeadBytes =
    sizeof(VnetHeader) + sizeof(fl_lane_prefix) + kAddressesBytes;
void WriteReturnHead(const uint8_t* from, const fl_lane_prefix& prefix, uint8_t* to);
// Turns a frame in which ReadParked found the prefix into what goes back: the return tag takes the
// place of the tag that led there.
void SetReturnTag(const fl_lane_prefix& prefix, uint8_t* frame);

// Bytes that a frame, as it goes back, has on a wire: without the return tag, with the headers
// that each segment of a train will have.
size_t WireBytes(std::span<const uint8_t> frame);

}  // namespace faultline::network
