#include "bpf/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <thread>
#include <utility>

#include "bpf/fd.h"
#include "bpf/kernel_types.h"
#include "bpf/netlink.h"

namespace faultline::bpf {
namespace {

constexpr char kBtfPath[] = "/sys/kernel/btf/vmlinux";
constexpr char kLsmPath[] = "/sys/kernel/security/lsm";
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr int kLoopbackIndex = 1;

constexpr char kNoBtf[] =
    "the kernel has no BTF (/sys/kernel/btf/vmlinux is missing); it needs CONFIG_DEBUG_INFO_BTF";

// Empty when the feature is there; else the sentence. `types` are the kernel's, null when they
// cannot be read.
std::string AskBtf() {
  if (access(kBtfPath, R_OK) == 0) return {};
  return kNoBtf;
}

std::string AskTc() {
  const int found = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, nullptr);
  if (found == 1) return {};
  if (found == -EPERM) return "loading BPF programs needs root (CAP_BPF and CAP_NET_ADMIN)";
  return "the kernel cannot run BPF programs on packets (it needs CONFIG_BPF_SYSCALL and "
         "CONFIG_NET_CLS_BPF)";
}

std::string AskTcx() {
  LIBBPF_OPTS(bpf_prog_query_opts, options);
  if (bpf_prog_query_opts(kLoopbackIndex, kTcxIngress, &options) == 0) return {};
  return "the kernel has no TCX (it came with 6.6); clsact filters are used instead";
}

std::string AskTun() {
  const UniqueFd tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!tun.valid()) {
    return fmt::format("delaying packets needs TAP devices, and /dev/net/tun cannot be opened: {}",
                       ErrnoText(errno));
  }
  unsigned features = 0;
  if (ioctl(tun.get(), TUNGETFEATURES, &features) == 0 && (features & IFF_VNET_HDR) != 0) return {};
  return "delaying packets needs TAP devices with IFF_VNET_HDR";
}

std::string AskRingbuf() {
  if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, nullptr) == 1) return {};
  return "the kernel has no BPF ring buffer (it came with 5.8)";
}

// By trying it on the loopback of a network namespace that exists only for this.
std::string AskFq() {
  std::string sentence;
  std::thread([&sentence] {
    if (unshare(CLONE_NEWNET) != 0) {
      sentence = "whether the kernel has the fq qdisc can only be asked by root";
      return;
    }
    if (!ReplaceRootQdisc(kLoopbackIndex, "fq").ok()) {
      sentence = "the kernel has no fq qdisc (CONFIG_NET_SCH_FQ); the TAP lane can be used instead";
    }
  }).join();
  return sentence;
}

// A program that does nothing.
constexpr bpf_insn kNothing[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};

// Loads such a program and attaches it, to the tracepoint or, if that is null, to what it was made
// for. Empty when the kernel lets it; else the kernel's reason.
std::string TryNothing(bpf_prog_type type, const char* tracepoint, bpf_prog_load_opts* options) {
  const UniqueFd program(
      bpf_prog_load(type, "fl_probe", "GPL", kNothing, std::size(kNothing), options));
  if (!program.valid()) return ErrnoText(errno);
  const UniqueFd link(bpf_raw_tracepoint_open(tracepoint, program.get()));
  return link.valid() ? std::string() : ErrnoText(errno);
}

// By its list of modules, and by attaching a program that does nothing: lockdown refuses those.
std::string AskLsm(const Btf& types) {
  std::ifstream file(kLsmPath);
  std::string active;
  if (!std::getline(file, active)) {
    return "BPF LSM is needed, and the list of active security modules "
           "(/sys/kernel/security/lsm) cannot be read";
  }
  if (("," + active + ",").find(",bpf,") == std::string::npos) {
    return "BPF LSM is needed, and 'bpf' is not in the kernel's list of active security modules "
           "(boot option lsm=)";
  }
  if (types == nullptr) return kNoBtf;
  const int hook = btf__find_by_name_kind(types.get(), "bpf_lsm_file_open", BTF_KIND_FUNC);
  if (hook < 0) return "BPF LSM is needed, and the kernel has no hook for opened files";
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_LSM_MAC);
  options.attach_btf_id = static_cast<__u32>(hook);
  const std::string why = TryNothing(BPF_PROG_TYPE_LSM, nullptr, &options);
  if (why.empty()) return {};
  return "BPF LSM is needed, and the kernel refuses a program of that type: " + why;
}

// By attaching a program that does nothing.
std::string AskDropReasons(const Btf& types) {
  if (types == nullptr) return kNoBtf;
  const int reasons = btf__find_by_name_kind(types.get(), "skb_drop_reason", BTF_KIND_ENUM);
  if (reasons < 0)
    return "the kernel gives no reasons for the packets that it drops (from 5.17 on)";
  const std::string why = TryNothing(BPF_PROG_TYPE_RAW_TRACEPOINT, "kfree_skb", nullptr);
  if (why.empty()) return {};
  return "dropped packets are not counted, because the kernel refuses a program on its tracepoint "
         "kfree_skb: " +
         why;
}

// By the arguments of the tracepoint: data, packet, place, reason, socket.
std::string AskDropSockets(const Btf& types) {
  constexpr int kWithSocket = 5;
  if (types == nullptr) return kNoBtf;
  const btf_type* type = nullptr;
  const int id = btf__find_by_name_kind(types.get(), "btf_trace_kfree_skb", BTF_KIND_TYPEDEF);
  if (id >= 0) type = btf__type_by_id(types.get(), static_cast<unsigned>(id));
  while (type != nullptr && (btf_is_typedef(type) || btf_is_ptr(type))) {
    type = btf__type_by_id(types.get(), type->type);
  }
  const bool named = type != nullptr && btf_is_func_proto(type) && btf_vlen(type) >= kWithSocket;
  if (named) return {};
  return "the kernel does not name the socket that a dropped packet was for (from 6.11 on)";
}

Feature Tell(const char* name, std::string reason, bool has_fallback = false) {
  const bool available = reason.empty();
  return {name, available, std::move(reason), has_fallback};
}

int Quiet(libbpf_print_level, const char*, va_list) { return 0; }

std::vector<Feature> AskAll() {
  libbpf_set_print(Quiet);
  const Btf types = LoadKernelBtf();
  return {Tell("btf", AskBtf()),
          Tell("tc", AskTc()),
          Tell("tcx", AskTcx(), true),
          Tell("tun", AskTun()),
          Tell("ringbuf", AskRingbuf()),
          Tell("fq", AskFq(), true),
          Tell("bpf_lsm", AskLsm(types)),
          Tell("drop_reasons", AskDropReasons(types)),
          Tell("drop_sockets", AskDropSockets(types))};
}

}  // namespace

const std::vector<Feature>& KernelFeatures() {
  static const std::vector<Feature> features = AskAll();
  return features;
}

bool HasFeature(std::string_view name) {
  const auto& all = KernelFeatures();
  return std::any_of(all.begin(), all.end(),
                     [&](const Feature& f) { return f.name == name && f.available; });
}

Status RequireFeature(std::string_view name) {
  for (const Feature& feature : KernelFeatures()) {
    if (feature.name != name) continue;
    if (feature.available) return absl::OkStatus();
    return MakeDetailedError(StatusCode::kFailedPrecondition, "MISSING_CAPABILITY", feature.reason,
                             {{"capability", feature.name}});
  }
  return MakeError(StatusCode::kFailedPrecondition, "unknown kernel feature '{}'", name);
}

Status RequireRoot() {
  if (geteuid() == 0) return absl::OkStatus();
  return MakeDetailedError(StatusCode::kFailedPrecondition, "NOT_ROOT",
                           "this must run as root: it loads BPF programs");
}

}  // namespace faultline::bpf
