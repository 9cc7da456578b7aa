// The network group's driver: delays and losses on the interfaces of targets, and the measuring of
// their connections.
#pragma once

#include <memory>
#include <optional>

#include "base/status.h"
#include "bpf/attach.h"
#include "faults/driver.h"

namespace faultline::network {

struct DriverOptions {
  // How programs are attached; no value takes TCX where the kernel has it.
  std::optional<bpf::AttachMode> attach_mode;
};

// Loads the programs' maps and calls context.on_lease_page with the lease page, in which both
// leases have run out: nothing is faulty before somebody renews them. FAILED_PRECONDITION with a
// sentence when this is not root or the kernel lacks BTF or BPF on packets.
StatusOr<std::unique_ptr<faults::Driver>> MakeNetworkDriver(const faults::DriverContext& context,
                                                            const DriverOptions& options = {});

}  // namespace faultline::network
