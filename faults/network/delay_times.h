// How long packets of each rule have waited in a lane: histograms in memory that the kernel's
// programs (the fq lane, delays.bpf.h) and the TAP lane's thread count in.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "bpf/map.h"
#include "chaos/v1/metrics.pb.h"
#include "faults/network/chunk_store.h"

namespace faultline::network {

// Take, Open and Close of one rule are called by one thread; Count by any.
class DelayTimes {
 public:
  DelayTimes() = default;

  // Of the maps fl_delays, fl_delay_chunks and fl_free_delay_chunks, which stay the caller's.
  static StatusOr<DelayTimes> Map(int delays_fd, int chunks_fd, int free_fd);

  // The rule's packets count from now on.
  void Open(unsigned rule);
  // They count no more: what still waits in the kernel is not told of, and takes no memory.
  void Close(unsigned rule);

  // Neither lock nor allocation; a system call for the first of an octave.
  void Count(unsigned rule, uint64_t given_ns);

  // What was counted since the last call, in `given` and `no_room`.
  chaos::v1::FaultDelays Take(unsigned rule);

 private:
  std::span<__u32> NumbersOf(unsigned rule) const { return delays_[rule].number; }

  bpf::MappedArray<fl_delays> delays_;
  ChunkStore store_;
};

}  // namespace faultline::network
