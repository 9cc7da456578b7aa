#include "faults/network/drops.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "bpf/kernel_types.h"
#include "bpf/probe.h"
#include "bpf/verifier_log.h"
#include "drops.skel.h"

namespace faultline::network {
namespace {

static_assert(sizeof(drops::drops__bss) == sizeof(fl_tables), "the other object's");

struct CloseSkeleton {
  void operator()(drops* skeleton) const { drops__destroy(skeleton); }
};

constexpr std::string_view kPrefix = "SKB_DROP_REASON_";
// Reasons that are beyond our table: of wireless and of Open vSwitch, and those of later kernels.
constexpr char kOther[] = "OTHER";

// By number, as this kernel has them. What has another prefix is no drop (SKB_CONSUMED).
std::vector<std::string> ReasonNames(const bpf::Btf& types) {
  std::vector<std::string> names(FL_DROP_REASONS);
  names[FL_DROP_REASONS - 1] = kOther;
  const int id = btf__find_by_name_kind(types.get(), "skb_drop_reason", BTF_KIND_ENUM);
  if (id < 0) return names;
  const btf_type* type = btf__type_by_id(types.get(), static_cast<unsigned>(id));
  const auto* values = btf_enum(type);
  for (int i = 0; i < btf_vlen(type); ++i) {
    const std::string_view name = btf__name_by_offset(types.get(), values[i].name_off);
    if (!name.starts_with(kPrefix) || values[i].val < 0) continue;
    if (values[i].val >= FL_DROP_REASONS - 1) continue;
    names[static_cast<size_t>(values[i].val)] = name.substr(kPrefix.size());
  }
  return names;
}

Status Open(const char* tracepoint, const bpf_program* program, bpf::UniqueFd* program_fd,
            bpf::UniqueFd* link) {
  *program_fd = bpf::UniqueFd(fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0));
  *link = bpf::UniqueFd(bpf_raw_tracepoint_open(tracepoint, program_fd->get()));
  if (link->valid()) return absl::OkStatus();
  return MakeError(StatusCode::kFailedPrecondition, "attaching to {} failed: {}", tracepoint,
                   ErrnoText(errno));
}

}  // namespace

Status DropWatch::Watch(bool wanted) {
  if (!wanted) {
    for (auto* held : {&failed_link_, &drop_link_, &failed_program_, &drop_program_}) held->Reset();
    return absl::OkStatus();
  }
  return drop_link_.valid() ? absl::OkStatus() : Attach();
}

Status DropWatch::Attach() {
  FL_RETURN_IF_ERROR(bpf::RequireFeature("drop_reasons"));
  const std::unique_ptr<drops, CloseSkeleton> skeleton(drops__open());
  if (!skeleton) {
    return MakeError(StatusCode::kInternal, "opening the program on drops failed: {}",
                     ErrnoText(errno));
  }
  const bpf::Btf types = bpf::LoadKernelBtf();
  if (!types) {
    return MakeError(StatusCode::kFailedPrecondition, "reading the kernel's types failed: {}",
                     ErrnoText(errno));
  }
  skeleton->rodata->fl_magic = kernel_->magic();
  skeleton->rodata->fl_names_socket = bpf::HasFeature("drop_sockets") ? 1 : 0;
  FL_RETURN_IF_ERROR(kernel_->ShareMaps(skeleton->obj));
  const bpf::VerifierLog log(skeleton->obj);
  if (const int error = -drops__load(skeleton.get()); error != 0) {
    return log.Refused("the program on drops", error);
  }
  if (names_.empty()) names_ = ReasonNames(types);
  FL_RETURN_IF_ERROR(
      Open("inet_sock_set_state", skeleton->progs.fl_failed, &failed_program_, &failed_link_));
  return Open("kfree_skb", skeleton->progs.fl_drop, &drop_program_, &drop_link_);
}

std::string DropWatch::ReasonName(unsigned reason) const {
  if (names_.empty()) return "";
  return names_[std::min<size_t>(reason, FL_DROP_REASONS - 1)];
}

void DropWatch::Take(unsigned target, chaos::v1::TrafficDetail* traffic) {
  if (!drop_link_.valid()) return;
  kernel_->TakeCounters(target, FL_COUNTERS_OF_DROPS, FL_DROP_REASONS,
                        [&](unsigned reason, uint64_t count) {
                          if (!names_[reason].empty())
                            (*traffic->mutable_kernel_drops())[names_[reason]] += count;
                        });
}

}  // namespace faultline::network
