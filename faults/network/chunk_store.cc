#include "faults/network/chunk_store.h"

#include <bpf/bpf.h>

#include <algorithm>

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

bool ChunkStore::IsEmpty(__u32 number) const {
  return std::ranges::all_of(chunks_[number].count, [](const __u64& count) {
    return __atomic_load_n(&count, __ATOMIC_RELAXED) == 0;
  });
}

void ChunkStore::Clear(__u32 number) {
  chunks_[number] = fl_chunk{};
  GiveBack(number);
}

void ChunkStore::Free(std::span<__u32> numbers) {
  for (__u32& number : numbers) {
    const __u32 gone = __atomic_exchange_n(&number, 0, __ATOMIC_ACQ_REL);
    if (gone != 0) Clear(gone);
  }
  for (auto& [at, number] : leaving_) {
    if (at >= numbers.data() && at < numbers.data() + numbers.size()) at = nullptr;
  }
}

void ChunkStore::FreeIdle(std::span<__u32> numbers) {
  for (const auto& [at, number] : std::exchange(leaving_, {})) {
    __u32 now = 0;
    const bool late = at != nullptr && !IsEmpty(number);
    if (late && __atomic_compare_exchange_n(at, &now, number, /*weak=*/false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
      continue;
    }
    for (unsigned i = 0; late && i < FL_CHUNK_COUNTERS; ++i) {
      __atomic_fetch_add(&chunks_[now].count[i], chunks_[number].count[i], __ATOMIC_RELAXED);
    }
    Clear(number);
  }
  for (__u32& at : numbers) {
    const __u32 number = __atomic_load_n(&at, __ATOMIC_ACQUIRE);
    if (number == 0) continue;
    if (used_[number] || !IsEmpty(number)) {
      used_[number] = false;
      continue;
    }
    __atomic_store_n(&at, 0, __ATOMIC_RELEASE);
    leaving_.emplace_back(&at, number);
  }
}

}  // namespace faultline::network
