#include "bpf/verifier_log.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>

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
    const auto room = RoomFor(bpf_program__name(program));
    bpf_program__set_log_buf(program, room.data(), room.size());
  }
}

// At level 0, as by default, libbpf asks for the log only when the program was refused.
std::span<char> VerifierLog::RoomFor(const char* program) {
  auto text = std::make_unique_for_overwrite<char[]>(kLogBytes);
  text[0] = '\0';
  logs_.push_back({program, std::move(text)});
  return {logs_.back().text.get(), kLogBytes};
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

StatusOr<UniqueFd> LoadProgram(bpf_prog_type type, const char* name, std::span<const bpf_insn> code,
                               std::string_view what) {
  VerifierLog log;
  const auto room = log.RoomFor(name);
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.log_buf = room.data();
  options.log_size = static_cast<__u32>(room.size());
  UniqueFd program(bpf_prog_load(type, name, "Dual BSD/GPL", code.data(), code.size(), &options));
  if (program.valid()) return program;
  return log.Refused(what, errno);
}

}  // namespace faultline::bpf
