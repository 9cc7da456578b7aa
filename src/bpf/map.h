// BPF maps as memory.
#pragma once

#include <cstddef>

#include "base/status.h"
#include "bpf/fd.h"

namespace faultline::bpf {

// The elements of a BPF_F_MMAPABLE array as shared memory: what the kernel program writes is seen
// at once, and the other way round. Elements are written and read with plain 8-byte accesses or
// __atomic builtins. Unmapped when destroyed; the map itself belongs to its descriptors.
template <typename T>
class MappedArray {
 public:
  MappedArray() = default;
  MappedArray(MappedArray&& other) noexcept { Swap(other); }
  MappedArray& operator=(MappedArray&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~MappedArray();

  // INTERNAL when the kernel refuses.
  static StatusOr<MappedArray> Map(int map_fd, size_t elements);

  T& operator[](size_t index) const { return data_[index]; }
  T* data() const { return data_; }

 private:
  void Swap(MappedArray& other) {
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
  }

  T* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// mmap and munmap of a map's memory, for MappedArray.
StatusOr<void*> MapMemory(int map_fd, size_t size_bytes);
void UnmapMemory(void* data, size_t size_bytes);

template <typename T>
StatusOr<MappedArray<T>> MappedArray<T>::Map(int map_fd, size_t elements) {
  static_assert(sizeof(T) % 8 == 0, "the kernel rounds elements up to 8 bytes");
  MappedArray array;
  array.size_bytes_ = elements * sizeof(T);
  FL_ASSIGN_OR_RETURN(void* memory, MapMemory(map_fd, array.size_bytes_));
  array.data_ = static_cast<T*>(memory);
  return array;
}

template <typename T>
MappedArray<T>::~MappedArray() {
  if (data_ != nullptr) UnmapMemory(data_, size_bytes_);
}

}  // namespace faultline::bpf
