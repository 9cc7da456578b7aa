#include "faults/network/kernel.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/random.h>

#include <cerrno>

#include "bpf/verifier_log.h"
#include "datapath.skel.h"

namespace faultline::network {
namespace {

struct CloseSkeleton {
  void operator()(datapath* skeleton) const { datapath__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<datapath, CloseSkeleton>;

StatusOr<Skeleton> Open(unsigned hook, uint64_t magic) {
  Skeleton skeleton(datapath__open());
  if (!skeleton) {
    return MakeError(StatusCode::kInternal, "opening the network programs failed: {}",
                     ErrnoText(errno));
  }
  skeleton->rodata->fl_hook_id = hook;
  skeleton->rodata->fl_magic = magic;
  return skeleton;
}

Status LoadInto(const Skeleton& skeleton) {
  const bpf::VerifierLog log(skeleton->obj);
  const int error = -datapath__load(skeleton.get());
  return error == 0 ? absl::OkStatus() : log.Refused("the network programs", error);
}

bpf::UniqueFd Duplicate(int fd) { return bpf::UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

// The programs' constants are a map of each copy's own.
bool IsShared(const bpf_map* map) { return std::string(bpf_map__name(map)).starts_with("fl_"); }

}  // namespace

StatusOr<std::unique_ptr<Kernel>> Kernel::Load() {
  std::unique_ptr<Kernel> kernel(new Kernel);
  if (getrandom(&kernel->magic_, sizeof(kernel->magic_), 0) != sizeof(kernel->magic_)) {
    return MakeError(StatusCode::kInternal, "no random bytes: {}", ErrnoText(errno));
  }
  FL_ASSIGN_OR_RETURN(const Skeleton skeleton, Open(0, kernel->magic_));
  bpf_program__set_autoload(skeleton->progs.fl_egress, false);
  bpf_program__set_autoload(skeleton->progs.fl_ingress, false);
  FL_RETURN_IF_ERROR(LoadInto(skeleton));
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    if (IsShared(map)) kernel->maps_[bpf_map__name(map)] = Duplicate(bpf_map__fd(map));
  }
  kernel->lane_program_ = Duplicate(bpf_program__fd(skeleton->progs.fl_lane));
  kernel->fq_programs_.in = Duplicate(bpf_program__fd(skeleton->progs.fl_fq_in));
  kernel->fq_programs_.out = Duplicate(bpf_program__fd(skeleton->progs.fl_fq_out));
  FL_RETURN_IF_ERROR(kernel->Map());
  return kernel;
}

Status Kernel::Map() {
  FL_ASSIGN_OR_RETURN(tables_, bpf::MappedArray<fl_tables>::Map(map_fd("fl_tables"), 1));
  FL_ASSIGN_OR_RETURN(lease_, bpf::MappedArray<fl_lease>::Map(map_fd("fl_lease"), 1));
  FL_ASSIGN_OR_RETURN(parked_,
                      bpf::MappedArray<fl_lane_prefix>::Map(map_fd("fl_parked"), FL_PARKED));
  FL_ASSIGN_OR_RETURN(counters_,
                      bpf::MappedArray<fl_counters>::Map(map_fd("fl_counters"), FL_MAX_RULES));
  FL_ASSIGN_OR_RETURN(stats_,
                      bpf::MappedArray<fl_target_stats>::Map(map_fd("fl_stats"), FL_MAX_TARGETS));
  FL_ASSIGN_OR_RETURN(
      histograms_, bpf::MappedArray<__u64>::Map(map_fd("fl_histograms"), FL_HIST_AT(FL_HISTS, 0)));
  FL_ASSIGN_OR_RETURN(events_, EventRing::Open(map_fd("fl_event_ring")));
  return absl::OkStatus();
}

Status Kernel::ShareMaps(bpf_object* object) const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const auto shared = maps_.find(bpf_map__name(map));
    if (shared == maps_.end() || bpf_map__reuse_fd(map, shared->second.get()) == 0) continue;
    return MakeError(StatusCode::kInternal, "sharing map {} failed: {}", shared->first,
                     ErrnoText(errno));
  }
  return absl::OkStatus();
}

StatusOr<HookPrograms> Kernel::LoadHook(unsigned hook) {
  FL_ASSIGN_OR_RETURN(const Skeleton skeleton, Open(hook, magic_));
  for (bpf_program* lanes :
       {skeleton->progs.fl_lane, skeleton->progs.fl_fq_in, skeleton->progs.fl_fq_out}) {
    bpf_program__set_autoload(lanes, false);
  }
  FL_RETURN_IF_ERROR(ShareMaps(skeleton->obj));
  FL_RETURN_IF_ERROR(LoadInto(skeleton));
  HookPrograms programs;
  programs.egress = Duplicate(bpf_program__fd(skeleton->progs.fl_egress));
  programs.ingress = Duplicate(bpf_program__fd(skeleton->progs.fl_ingress));
  return programs;
}

}  // namespace faultline::network
