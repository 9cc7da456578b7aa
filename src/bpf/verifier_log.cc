#include "bpf/verifier_log.h"

#include <algorithm>

#include "base/log.h"

namespace faultline::bpf {
namespace {

// The kernel cuts off the beginning, not the end, of what is longer (since 6.4; before, it refuses
// a program with a longer one by ENOSPC, whatever is wrong with it). As much as libbpf takes; only
// what is written takes memory.
constexpr size_t kLogBytes = (16 << 20) - 1;
constexpr size_t kLastBytes = 1'000;

}  // namespace

VerifierLog::VerifierLog(bpf_object* object) {
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object, program)) != nullptr) {
    auto text = std::make_unique_for_overwrite<char[]>(kLogBytes);
    text[0] = '\0';
    // At level 0 libbpf asks for it only when the program was refused.
    bpf_program__set_log_buf(program, text.get(), kLogBytes);
    logs_.push_back({bpf_program__name(program), std::move(text)});
  }
}

Status VerifierLog::Refused(std::string_view what, int error) const {
  for (const Of& of : logs_) {
    const std::string_view text(of.text.get());
    if (text.empty()) continue;
    FL_LOG(warn, "the kernel's verifier on {}: ...{}", of.program,
           text.substr(text.size() - std::min(text.size(), kLastBytes)));
  }
  return MakeError(StatusCode::kFailedPrecondition, "the kernel refused {}: {}", what,
                   ErrnoText(error));
}

}  // namespace faultline::bpf
