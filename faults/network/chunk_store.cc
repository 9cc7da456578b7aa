#include "faults/network/chunk_store.h"

#include <bpf/bpf.h>

namespace faultline::network {

StatusOr<ChunkStore> ChunkStore::Open(int chunks_fd, int free_fd) {
  ChunkStore store;
  FL_ASSIGN_OR_RETURN(store.chunks_, bpf::MappedArray<fl_chunk>::Map(chunks_fd, FL_CHUNKS));
  store.free_fd_ = free_fd;
  for (__u32 number = 1; number < FL_CHUNKS; ++number) store.GiveBack(number);
  return store;
}

void ChunkStore::GiveBack(__u32 number) {
  bpf_map_update_elem(free_fd_, nullptr, &number, BPF_ANY);
}

bool ChunkStore::Count(std::span<__u32> numbers, unsigned counter) {
  __u32* at = &numbers[counter / FL_CHUNK_COUNTERS];
  __u32 number = __atomic_load_n(at, __ATOMIC_ACQUIRE);
  if (number == 0) {
    __u32 mine = 0;
    if (bpf_map_lookup_and_delete_elem(free_fd_, nullptr, &mine) != 0) return false;
    if (__atomic_compare_exchange_n(at, &number, mine, /*weak=*/false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
      number = mine;
    } else {
      GiveBack(mine);
    }
  }
  __atomic_fetch_add(&chunks_[number].count[counter % FL_CHUNK_COUNTERS], 1, __ATOMIC_RELAXED);
  return true;
}

void ChunkStore::Free(std::span<__u32> numbers) {
  for (__u32& number : numbers) {
    const __u32 gone = __atomic_exchange_n(&number, 0, __ATOMIC_ACQ_REL);
    if (gone == 0) continue;
    chunks_[gone] = fl_chunk{};
    GiveBack(gone);
  }
}

}  // namespace faultline::network
