// Flipping bits of frames. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "faults/network/chance.h"
#include "faults/network/transport.h"

namespace faultline::network {

class Corrupter {
 public:
  enum class Part { kAny, kHeader, kPayload };

  // Of each chosen frame `bits` different ones flip, fewer when the part is smaller. With `repair`
  // the transport's checksum follows, and is never flipped itself.
  Corrupter(Chance chance, unsigned bits, Part part, bool repair)
      : chance_(chance), bits_(bits), part_(part), repair_(repair) {}

  // `frame` is as it goes back. Whether bits flipped: not of one that was not chosen, has not the
  // part, or has a checksum that somebody has yet to complete.
  bool Corrupt(std::span<uint8_t> frame);

 private:
  bool FlipBits(std::span<uint8_t> packet, const Transport& transport, uint64_t drawn);

  Chance chance_;
  unsigned bits_;
  Part part_;
  bool repair_;
};

}  // namespace faultline::network
