// Rare events that the kernel programs tell one by one, from their ring buffer.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/metrics.pb.h"
#include "faults/network/datapath.h"

struct ring_buffer;

namespace faultline::network {

// One thread. Bounded by what the ring holds, and by FL_TELL_MOST for each target and type.
class EventRing {
 public:
  // The kernel's name for the reason of a drop; empty: it is no drop.
  using ReasonName = std::function<std::string(unsigned reason)>;

  // INTERNAL when the kernel refuses.
  static StatusOr<std::unique_ptr<EventRing>> Open(int map_fd);

  // What that target was told of since the last call.
  void Take(unsigned target, const ReasonName& reason_name, chaos::v1::TrafficDetail* traffic);

 private:
  struct FreeRing {
    void operator()(ring_buffer* ring) const;
  };

  EventRing() = default;
  static int OnEvent(void* self, void* data, size_t size);

  std::unique_ptr<ring_buffer, FreeRing> ring_;
  // Read from the ring, by target.
  std::array<std::vector<fl_event>, FL_MAX_TARGETS> waiting_;
};

}  // namespace faultline::network
