// The BPF object: its maps, shared by all hooks, and a copy of its programs for each hook.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/log_linear.h"
#include "base/status.h"
#include "bpf/fd.h"
#include "bpf/map.h"
#include "faults/network/datapath.h"
#include "faults/network/event_ring.h"

struct bpf_object;

namespace faultline::network {

struct HookPrograms {
  bpf::UniqueFd egress;
  bpf::UniqueFd ingress;
};

// On the way into the fq lane, and on the way out.
struct FqPrograms {
  bpf::UniqueFd in;
  bpf::UniqueFd out;
};

class Kernel {
 public:
  // Makes the maps and loads the lanes' programs. FAILED_PRECONDITION when the kernel refuses.
  static StatusOr<std::unique_ptr<Kernel>> Load();

  // Programs for the hook of that index (below FL_MAX_HOOKS), not attached to anything.
  StatusOr<HookPrograms> LoadHook(unsigned hook);

  // Lets another object's maps of the same names be these; before it is loaded.
  Status ShareMaps(bpf_object* object) const;

  // What marks packets that are or were in our hands.
  uint64_t magic() const { return magic_; }
  int lane_program() const { return lane_program_.get(); }
  const FqPrograms& fq_programs() const { return fq_programs_; }
  int map_fd(const std::string& name) const { return maps_.at(name).get(); }

  fl_tables* tables() { return tables_.data(); }
  fl_lease* lease() { return lease_.data(); }
  // FL_PARKED prefixes.
  const fl_lane_prefix* parked() const { return parked_.data(); }
  fl_counters& counters(unsigned rule) { return counters_[rule]; }
  EventRing& events() { return *events_; }
  fl_target_stats& stats(unsigned target) { return stats_[target]; }
  // FL_HIST_BUCKETS counts; `histogram` is FL_HIST_LATENCY or another.
  __u64* histogram(unsigned histogram, unsigned target) {
    return histograms_.data() + FL_HIST_AT(histogram, target);
  }

 private:
  Kernel() = default;
  Status Map();

  uint64_t magic_ = 0;
  std::map<std::string, bpf::UniqueFd> maps_;  // by name, without the programs' constants
  bpf::UniqueFd lane_program_;
  FqPrograms fq_programs_;
  bpf::MappedArray<fl_tables> tables_;
  bpf::MappedArray<fl_lease> lease_;
  bpf::MappedArray<fl_lane_prefix> parked_;
  bpf::MappedArray<fl_counters> counters_;
  bpf::MappedArray<fl_target_stats> stats_;
  bpf::MappedArray<__u64> histograms_;
  std::unique_ptr<EventRing> events_;
};

}  // namespace faultline::network
