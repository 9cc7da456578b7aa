// What this kernel can do, asked once and by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace faultline::bpf {

struct Feature {
  std::string name;
  bool available = false;
  std::string reason;         // a sentence for people when it is not available
  bool has_fallback = false;  // something else then does its work: `reason` says what
};

// All of them: btf, tc, tcx, tun, ringbuf, fq, bpf_lsm, drop_reasons, drop_sockets. The first call
// asks the kernel (some milliseconds), later ones do not. From any thread.
const std::vector<Feature>& KernelFeatures();

bool HasFeature(std::string_view name);

// FAILED_PRECONDITION with the feature's sentence when it is missing.
Status RequireFeature(std::string_view name);

// FAILED_PRECONDITION when the process may not load BPF programs.
Status RequireRoot();

}  // namespace faultline::bpf
