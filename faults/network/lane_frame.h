// The form of frames on their way through a lane's device, each behind a virtio_net_hdr. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "faults/network/datapath.h"

namespace faultline::network {

// Reads the prefix of a frame that came out of the device, wherever a VLAN tag put its second part.
// False when the frame is not one that the programs sent.
bool ReadPrefix(const uint8_t* bytes, size_t size, fl_lane_prefix* prefix);

// The same for a frame whose prefix is in the array `parked` (FL_PARKED of them), for one that
// ReadPrefix has refused.
bool ReadParked(const uint8_t* bytes, size_t size, const fl_lane_prefix* parked,
                fl_lane_prefix* prefix);

// A frame as it goes back: the return tag in place of the prefix, offsets moved accordingly.
struct ReturnFrame {
  std::unique_ptr<uint8_t[]> bytes;
  size_t size_bytes = 0;
};
// `prefix` is what ReadPrefix found in these bytes.
ReturnFrame Rebuild(const uint8_t* bytes, size_t size, const fl_lane_prefix& prefix);
// `prefix` is what ReadParked found: the return tag takes the place of the tag that led there.
ReturnFrame RebuildParked(const uint8_t* bytes, size_t size, const fl_lane_prefix& prefix);

}  // namespace faultline::network
