// Drops by the kernel's own reason: a program on its tracepoint, there only while it is wanted.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/fd.h"
#include "bpf/map.h"
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

 private:
  Status Attach();

  Kernel* const kernel_;
  bpf::UniqueFd program_, link_;  // the link first in, first out
  bpf::MappedArray<__u64> drops_;
  std::vector<std::string> names_;  // of reasons; "": no drop
};

}  // namespace faultline::network
