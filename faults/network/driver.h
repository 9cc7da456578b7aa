// The network group's driver: delays and losses on the interfaces of targets, and the measuring of
// their connections.
#pragma once

#include <memory>
#include <optional>

#include "base/status.h"
#include "bpf/attach.h"
#include "faults/driver.h"
#include "faults/network/fq_lanes.h"

namespace faultline::network {

struct DriverOptions {
  // How programs are attached; no value takes TCX where the kernel has it.
  std::optional<bpf::AttachMode> attach_mode = std::nullopt;
  // Where delays wait, instead of DriverContext::lane.
  std::optional<std::string> lane = std::nullopt;
  uint64_t fq_bytes = FqLanes::kMaxHeldBytes;
};

// Loads the programs' maps and calls context.on_lease_page with the lease page, in which both
// leases have run out: nothing is faulty before somebody renews them. FAILED_PRECONDITION with a
// sentence when this is not root or the kernel lacks BTF, BPF on packets, or the fq that was asked
// for. INVALID_ARGUMENT when there is no such lane.
StatusOr<std::unique_ptr<faults::Driver>> MakeNetworkDriver(const faults::DriverContext& context,
                                                            const DriverOptions& options = {});

}  // namespace faultline::network
