// The BPF object: its maps and its programs, shared by all hooks, and what is attached at each.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/fd.h"
#include "bpf/map.h"
#include "faults/network/chunk_store.h"
#include "faults/network/datapath.h"
#include "faults/network/delay_times.h"
#include "faults/network/event_ring.h"

struct bpf_object;

namespace faultline::network {

struct HookPrograms {
  bpf::UniqueFd egress;
  bpf::UniqueFd ingress;
};

class Kernel {
 public:
  // Makes the maps and loads the programs. FAILED_PRECONDITION when the kernel refuses.
  static StatusOr<std::unique_ptr<Kernel>> Load();

  // What to attach at the hook of that index (below FL_MAX_HOOKS): a few instructions, which cost
  // neither time nor memory worth mentioning.
  StatusOr<HookPrograms> LoadHook(unsigned hook);

  // The vectors of that chunk of fl_sets, all empty when it is made; they live as long as this. The
  // first chunk is there from the beginning.
  StatusOr<fl_bits*> AddSets(unsigned chunk);

  // Lets another object's maps of the same names be these; before it is loaded.
  Status ShareMaps(bpf_object* object) const;

  // What marks packets that are or were in our hands.
  uint64_t magic() const { return magic_; }
  int lane_program() const { return lane_program_.get(); }
  int fq_program() const { return fq_program_.get(); }
  int map_fd(const std::string& name) const { return maps_.at(name).get(); }

  fl_tables* tables() { return tables_.data(); }
  fl_lease* lease() { return lease_.data(); }
  // FL_PARKED prefixes.
  const fl_lane_prefix* parked() const { return parked_.data(); }
  fl_counters& counters(unsigned rule) { return counters_[rule]; }
  DelayTimes& delay_times() { return delay_times_; }
  EventRing& events() { return *events_; }
  fl_target_stats& stats(unsigned target) { return stats_[target]; }
  fl_traffic& traffic(unsigned target, unsigned part) {
    return traffic_[FL_TRAFFIC_PART(target, part)];
  }
  // Takes out `size` of the target's counters, both multiples of FL_CHUNK_COUNTERS: calls `taken`
  // with place behind `first` and count for each that is not 0.
  template <typename Taken>
  void TakeCounters(unsigned target, unsigned first, unsigned size, const Taken& taken);
  // The target's counters become 0 and take no memory: nobody may count for it.
  void FreeCounters(unsigned target);
  // Of all targets, those that stayed 0 since the last call, seconds ago at least, take no memory.
  void FreeIdleCounters();
  // Connections so far whose beginning was not seen, or was forgotten among too many others.
  uint64_t met_midway() { return __atomic_load_n(&tables()->met_midway, __ATOMIC_RELAXED); }

 private:
  Kernel() = default;
  Status Map();
  // The program that is attached at a hook: notes which it is, and goes on in a shared one.
  StatusOr<bpf::UniqueFd> LoadEntry(const char* name, unsigned hook, unsigned direction) const;

  uint64_t magic_ = 0;
  std::map<std::string, bpf::UniqueFd> maps_;  // by name, without the programs' constants
  bpf::UniqueFd lane_program_;
  bpf::UniqueFd shared_;  // holds the program that every hook's goes on in
  bpf::UniqueFd fq_program_;
  bpf::MappedArray<fl_tables> tables_;
  std::vector<bpf::MappedArray<fl_bits>> sets_;  // by chunk
  bpf::MappedArray<fl_lease> lease_;
  bpf::MappedArray<fl_lane_prefix> parked_;
  bpf::MappedArray<fl_counters> counters_;
  bpf::MappedArray<fl_target_stats> stats_;
  bpf::MappedArray<fl_traffic> traffic_;
  ChunkStore chunks_;
  DelayTimes delay_times_;
  std::unique_ptr<EventRing> events_;
};

template <typename Taken>
void Kernel::TakeCounters(unsigned target, unsigned first, unsigned size, const Taken& taken) {
  chunks_.Take(std::span(tables()->chunk_of[target])
                   .subspan(first / FL_CHUNK_COUNTERS, size / FL_CHUNK_COUNTERS),
               taken);
}

}  // namespace faultline::network
