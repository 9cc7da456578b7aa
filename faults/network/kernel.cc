#include "faults/network/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "bpf/verifier_log.h"
#include "datapath.skel.h"

namespace faultline::network {
namespace {

struct CloseSkeleton {
  void operator()(datapath* skeleton) const { datapath__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<datapath, CloseSkeleton>;

StatusOr<Skeleton> Open(uint64_t magic) {
  Skeleton skeleton(datapath__open());
  if (!skeleton) {
    return MakeError(StatusCode::kInternal, "opening the network programs failed: {}",
                     ErrnoText(errno));
  }
  skeleton->rodata->fl_magic = magic;
  return skeleton;
}

Status LoadInto(const Skeleton& skeleton) {
  const bpf::VerifierLog log(skeleton->obj);
  const int error = -datapath__load(skeleton.get());
  return error == 0 ? absl::OkStatus() : log.Refused("the network programs", error);
}

// One chunk of fl_sets.
bpf::UniqueFd MakeSets() {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  return bpf::UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_sets_chunk", sizeof(__u32),
                                      sizeof(fl_bits), FL_SETS_PER_CHUNK, &options));
}

bpf::UniqueFd Duplicate(int fd) { return bpf::UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

constexpr int kPass = -1;  // TCX_NEXT, TC_ACT_UNSPEC

static_assert(sizeof(datapath::datapath__bss) == sizeof(fl_tables), "the only variable there");

// By which this object's map and another's are the same; empty for constants, which are each
// object's own.
std::string SharedName(const bpf_map* map) {
  const std::string name = bpf_map__name(map);
  if (name.ends_with(".bss")) return "fl_tables";  // begins with the object's
  const size_t own = name.find("fl_");
  return own == std::string::npos ? "" : name.substr(own);
}

}  // namespace

StatusOr<std::unique_ptr<Kernel>> Kernel::Load() {
  std::unique_ptr<Kernel> kernel(new Kernel);
  if (getrandom(&kernel->magic_, sizeof(kernel->magic_), 0) != sizeof(kernel->magic_)) {
    return MakeError(StatusCode::kInternal, "no random bytes: {}", ErrnoText(errno));
  }
  FL_ASSIGN_OR_RETURN(const Skeleton skeleton, Open(kernel->magic_));
  // What libbpf makes to show what the chunks are like carries types, and is not like ours to 6.1.
  const bpf::UniqueFd like = MakeSets();
  bpf_map__set_inner_map_fd(skeleton->maps.fl_sets, like.get());
  FL_RETURN_IF_ERROR(LoadInto(skeleton));
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    const std::string name = SharedName(map);
    if (!name.empty()) kernel->maps_[name] = Duplicate(bpf_map__fd(map));
  }
  kernel->lane_program_ = Duplicate(bpf_program__fd(skeleton->progs.fl_lane));
  kernel->shared_ = bpf::UniqueFd(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "fl_shared",
                                                 sizeof(__u32), sizeof(__u32), 1, nullptr));
  const __u32 first = 0;
  const int handle = bpf_program__fd(skeleton->progs.fl_handle);
  if (bpf_map_update_elem(kernel->shared_.get(), &first, &handle, BPF_ANY) != 0) {
    return MakeError(StatusCode::kInternal, "keeping the network programs failed: {}",
                     ErrnoText(errno));
  }
  kernel->fq_program_ = Duplicate(bpf_program__fd(skeleton->progs.fl_fq_out));
  FL_RETURN_IF_ERROR(kernel->Map());
  // The programs rely on the empty vector.
  FL_RETURN_IF_ERROR(kernel->AddSets(0).status());
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
  FL_ASSIGN_OR_RETURN(traffic_, bpf::MappedArray<fl_traffic>::Map(
                                    map_fd("fl_traffic"), FL_MAX_TARGETS * FL_TRAFFIC_PARTS));
  FL_ASSIGN_OR_RETURN(chunks_, ChunkStore::Open(map_fd("fl_chunks"), map_fd("fl_free_chunks")));
  FL_ASSIGN_OR_RETURN(delay_times_, DelayTimes::Map(map_fd("fl_delays"), map_fd("fl_delay_chunks"),
                                                    map_fd("fl_free_delay_chunks")));
  FL_ASSIGN_OR_RETURN(events_, EventRing::Open(map_fd("fl_event_ring")));
  return absl::OkStatus();
}

Status Kernel::ShareMaps(bpf_object* object) const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const auto shared = maps_.find(SharedName(map));
    if (shared == maps_.end() || bpf_map__reuse_fd(map, shared->second.get()) == 0) continue;
    return MakeError(StatusCode::kInternal, "sharing map {} failed: {}", shared->first,
                     ErrnoText(errno));
  }
  return absl::OkStatus();
}

StatusOr<fl_bits*> Kernel::AddSets(unsigned chunk) {
  if (chunk < sets_.size()) return sets_[chunk].data();
  const bpf::UniqueFd map = MakeSets();
  const int inner_fd = map.get();
  if (!map.valid() || bpf_map_update_elem(map_fd("fl_sets"), &chunk, &inner_fd, BPF_ANY) != 0) {
    return MakeError(StatusCode::kResourceExhausted, "no room for more filters: {}",
                     ErrnoText(errno));
  }
  FL_ASSIGN_OR_RETURN(auto sets, bpf::MappedArray<fl_bits>::Map(inner_fd, FL_SETS_PER_CHUNK));
  sets_.push_back(std::move(sets));
  return sets_.back().data();
}

void Kernel::FreeCounters(unsigned target) { chunks_.Free(tables()->chunk_of[target]); }

void Kernel::FreeIdleCounters() {
  chunks_.FreeIdle({tables()->chunk_of[0], size_t{FL_MAX_TARGETS} * FL_TARGET_CHUNKS});
}

StatusOr<bpf::UniqueFd> Kernel::LoadEntry(const char* name, unsigned hook,
                                          unsigned direction) const {
  const auto instruction = [](int code, unsigned to, unsigned from, size_t offset, unsigned value) {
    bpf_insn made{};
    made.code = static_cast<__u8>(code);
    made.dst_reg = static_cast<__u8>(to & 0xf);
    made.src_reg = static_cast<__u8>(from & 0xf);
    made.off = static_cast<__s16>(offset);
    made.imm = static_cast<__s32>(value);
    return made;
  };
  const auto map = static_cast<unsigned>(shared_.get());
  // skb->cb[FL_HOOK_CB] says where, then a jump into the map's program; without one the packet
  // passes.
  const std::array code = {
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, FL_HOOK_AT(hook, direction)),
      instruction(BPF_STX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_2,
                  offsetof(__sk_buff, cb) + sizeof(__u32) * FL_HOOK_CB, 0),
      instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, map),
      instruction(0, 0, 0, 0, 0),
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 0),
      instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call),
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, static_cast<unsigned>(kPass)),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  return bpf::LoadProgram(BPF_PROG_TYPE_SCHED_CLS, name, code, "a hook's program");
}

StatusOr<HookPrograms> Kernel::LoadHook(unsigned hook) {
  HookPrograms programs;
  FL_ASSIGN_OR_RETURN(programs.egress, LoadEntry("fl_egress", hook, FL_EGRESS));
  FL_ASSIGN_OR_RETURN(programs.ingress, LoadEntry("fl_ingress", hook, FL_INGRESS));
  return programs;
}

}  // namespace faultline::network
