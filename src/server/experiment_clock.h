// The clock that experiments' times are on, as this machine has it: its Unix clock while no
// experiment is under way, and from there on its boot-time clock, so that a Unix clock that is set
// meanwhile, be it by hours, makes no experiment longer or shorter. Controllers' Unix clocks have
// to agree when experiments begin, to what an end may be off by when another node leads by then.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>

namespace faultline::server {

// Thread-safe. Times named unix_ms are in milliseconds, others in nanoseconds of CLOCK_BOOTTIME;
// `own_unix_ms` is what this machine's Unix clock shows.
class ExperimentClock {
 public:
  // `idle`: no experiment is under way, or about to be.
  int64_t NowMs(bool idle, uint64_t now_ns, int64_t own_unix_ms);

  // This node has been told of an experiment (by its index) now. Of those told of, which have
  // ended can be forgotten: `unfinished` says.
  void Tell(uint64_t index, uint64_t now_ns, const std::set<uint64_t>& unfinished);
  // For how long this node has known of it, in milliseconds; INT64_MAX when it does not.
  int64_t KnownMs(uint64_t index, uint64_t now_ns) const;

 private:
  mutable std::mutex mutex_;
  int64_t set_unix_ms_ = 0;
  uint64_t set_ns_ = 0;  // when it showed that; 0: never yet
  std::map<uint64_t, uint64_t> told_ns_;
};

}  // namespace faultline::server
