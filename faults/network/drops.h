// What only the kernel's tracepoints show, drops by its own reason and failed connections: programs
// on them, there only while they are wanted.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/fd.h"
#include "chaos/v1/metrics.pb.h"
#include "faults/network/kernel.h"

namespace faultline::network {

// One thread.
class DropWatch {
 public:
  // `kernel` outlives this.
  explicit DropWatch(Kernel* kernel) : kernel_(kernel) {}

  // Counts from now on, or no more. FAILED_PRECONDITION, with a sentence, where the kernel cannot.
  Status Watch(bool wanted);
  // What was dropped of that target since the last call.
  void Take(unsigned target, chaos::v1::TrafficDetail* traffic);
  // The kernel's name for that reason; empty: it is no drop.
  std::string ReasonName(unsigned reason) const;

 private:
  Status Attach();

  Kernel* const kernel_;
  // Links last in, first out.
  bpf::UniqueFd drop_program_, failed_program_, drop_link_, failed_link_;
  std::vector<std::string> names_;  // of reasons; "": no drop
};

}  // namespace faultline::network
