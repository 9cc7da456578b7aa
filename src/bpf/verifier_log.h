// What the kernel's verifier says of programs that it refuses.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bpf/fd.h"

namespace faultline::bpf {

// Outlives the loading of what it is for; made before it.
class VerifierLog {
 public:
  VerifierLog() = default;
  // For all programs of an object.
  explicit VerifierLog(bpf_object* object);

  // Where libbpf puts what the verifier says of one more program, if it is refused.
  std::span<char> RoomFor(const char* program);

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

// Loads a program from its instructions. When the kernel refuses it, VerifierLog::Refused(`what`).
StatusOr<UniqueFd> LoadProgram(bpf_prog_type type, const char* name, std::span<const bpf_insn> code,
                               std::string_view what);

}  // namespace faultline::bpf
