#include "bpf/map.h"

#include <sys/mman.h>

#include <cerrno>

namespace faultline::bpf {

StatusOr<void*> MapMemory(int map_fd, size_t size_bytes) {
  void* memory = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (memory != MAP_FAILED) return memory;
  return MakeError(StatusCode::kInternal, "mapping a BPF map of {} bytes failed: {}", size_bytes,
                   ErrnoText(errno));
}

void UnmapMemory(void* data, size_t size_bytes) { munmap(data, size_bytes); }

}  // namespace faultline::bpf
