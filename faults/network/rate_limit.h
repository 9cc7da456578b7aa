// A slower link with a queue in front of it, for each direction. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace faultline::network {

class RateLimit {
 public:
  // Below this rate or this queue, packets must come one by one: a train of segments that arrives
  // as one frame (up to 64 KiB) would fill such a queue at once, or leave in gulps.
  static constexpr uint64_t kTrainsFromBps = 200'000'000;
  static constexpr uint64_t kTrainsFromQueueBytes = 131'072;

  RateLimit() = default;
  // `burst_bytes` may pass at once after a pause; beyond `queue_bytes` nothing more waits.
  RateLimit(uint64_t rate_bps, uint64_t burst_bytes, uint64_t queue_bytes)
      : rate_bps_(rate_bps), burst_ns_(TimeOf(burst_bytes)), queue_ns_(TimeOf(queue_bytes)) {}

  struct Passage {
    uint64_t delay_ns = 0;  // how long it waits and takes
    bool waited = false;    // for others before it
  };
  // Of a frame of `bytes` that comes at `at_ns`; none when the queue is full.
  std::optional<Passage> Pass(unsigned direction, uint64_t at_ns, size_t bytes);
  // What waits has gone by another way: nobody waits for it any more.
  void Empty() { busy_until_ns_ = {}; }

  bool takes_trains() const {
    return rate_bps_ >= kTrainsFromBps && queue_ns_ >= TimeOf(kTrainsFromQueueBytes);
  }

 private:
  uint64_t TimeOf(uint64_t bytes) const { return bytes * 8 * 1'000'000'000 / rate_bps_; }

  uint64_t rate_bps_ = 1;
  uint64_t burst_ns_ = 0;
  uint64_t queue_ns_ = 0;
  // When the link will have sent all that it was given; the past when it could have sent more.
  std::array<uint64_t, 2> busy_until_ns_{};
};

}  // namespace faultline::network
