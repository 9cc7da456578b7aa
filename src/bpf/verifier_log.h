// What the kernel's verifier says of programs that it refuses.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace faultline::bpf {

// Outlives the loading of the object; made before it.
class VerifierLog {
 public:
  explicit VerifierLog(bpf_object* object);

  // FAILED_PRECONDITION: the kernel refused `what`, because of `error` (an errno). The verifier's
  // last lines go to the log.
  Status Refused(std::string_view what, int error) const;

 private:
  struct Of {
    std::string program;
    std::unique_ptr<char[]> text;  // not touched, so no memory, unless it is needed
  };
  std::vector<Of> logs_;
};

}  // namespace faultline::bpf
