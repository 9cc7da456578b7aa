// Preloaded into a controller by tests: every sync to disk takes as many microseconds longer as the
// file named by FAULTLINE_SYNC_DELAY_FILE says at the moment.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace {

void WaitAsAsked() {
  const char* path = std::getenv("FAULTLINE_SYNC_DELAY_FILE");
  FILE* file = path != nullptr ? std::fopen(path, "re") : nullptr;
  if (file == nullptr) return;
  unsigned delay_us = 0;
  if (std::fscanf(file, "%u", &delay_us) != 1) delay_us = 0;
  std::fclose(file);
  if (delay_us > 0) usleep(delay_us);
}

int SyncBy(const char* name, int fd) {
  using Sync = int (*)(int);
  WaitAsAsked();
  return reinterpret_cast<Sync>(dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fsync(int fd) { return SyncBy("fsync", fd); }
extern "C" int fdatasync(int fd) { return SyncBy("fdatasync", fd); }
