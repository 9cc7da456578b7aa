// Counters of which most stay 0, in chunks of a store (fl_chunk) that kernel programs and user
// space take from: whoever is the first to count in one.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "bpf/map.h"
#include "faults/network/datapath.h"

namespace faultline::network {

// An owner's counters are the span of its chunks' numbers, in shared memory; 0: none yet. Counting
// goes on at any time, on any thread; all else is one thread's.
class ChunkStore {
 public:
  ChunkStore() = default;

  // Of the maps of chunks and of the numbers of free ones, which stay the caller's; all are free.
  static StatusOr<ChunkStore> Open(int chunks_fd, int free_fd);

  // Adds one. False when there is no room. A system call for the first of a chunk only.
  bool Count(std::span<__u32> numbers, unsigned counter);

  // Takes everything out: calls `taken` with place and count for each counter that is not 0.
  template <typename Taken>
  void Take(std::span<__u32> numbers, const Taken& taken);

  // The counters become 0 and take no memory. What somebody counts at that moment may be counted
  // for another owner.
  void Free(std::span<__u32> numbers);

  // Of all owners: takes chunks from them in which nothing was counted since the last call, and
  // makes free those that the last call took. So calls are further apart than a program runs: what
  // it counted in a chunk that had just been taken is the owner's still.
  void FreeIdle(std::span<__u32> numbers);

 private:
  bool IsEmpty(__u32 number) const;
  void Clear(__u32 number);
  void GiveBack(__u32 number);

  bpf::MappedArray<fl_chunk> chunks_;
  int free_fd_ = -1;
  std::bitset<FL_CHUNKS> used_;  // something was taken out since FreeIdle
  // What FreeIdle took, and where it stood; null: its owner is gone.
  std::vector<std::pair<__u32*, __u32>> leaving_;
};

template <typename Taken>
void ChunkStore::Take(std::span<__u32> numbers, const Taken& taken) {
  for (unsigned place = 0; place < numbers.size(); ++place) {
    const uint32_t number = __atomic_load_n(&numbers[place], __ATOMIC_ACQUIRE);
    if (number == 0) continue;
    for (unsigned i = 0; i < FL_CHUNK_COUNTERS; ++i) {
      __u64* count = &chunks_[number].count[i];
      if (__atomic_load_n(count, __ATOMIC_RELAXED) == 0) continue;
      used_[number] = true;
      taken(place * FL_CHUNK_COUNTERS + i, __atomic_exchange_n(count, 0, __ATOMIC_RELAXED));
    }
  }
}

}  // namespace faultline::network
