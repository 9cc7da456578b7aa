/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What user space tells the programs. */
#ifndef FAULTLINE_NETWORK_TABLE_MAPS_BPF_H
#define FAULTLINE_NETWORK_TABLE_MAPS_BPF_H

#include <bpf/bpf_helpers.h>

#include "faults/network/datapath.h"

#define FL_CGROUP_LEVELS 16

/* A variable, not an element of a map of our own: an instruction has its address, where a look-up
 * takes seven and a branch. The only one that is in the object's ".bss", which user space maps. */
struct fl_tables fl_tables;

/* User space puts the chunks in, the first one before any program runs. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, FL_SET_CHUNKS);
  __type(key, __u32);
  __array(
      values, struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, FL_SETS_PER_CHUNK);
        __uint(map_flags, BPF_F_MMAPABLE);
        __type(key, __u32);
        __type(value, struct fl_bits);
      });
} fl_sets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, FL_MAX_PREFIXES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct fl_prefix_key);
  __type(value, struct fl_covering);
} fl_prefixes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FL_MAX_TARGETS);
  __type(key, __u64);
  __type(value, __u32); /* number of the vector of those that name the cgroup */
} fl_cgroups SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FL_MAX_HOOKS);
  __type(key, struct fl_hook_key);
  __type(value, __u32);
} fl_hooks SEC(".maps");

/* The vector of that number; 0 for one that nobody has made. */
static __always_inline struct fl_bits* fl_set(__u32 number) {
  __u32 chunk = number / FL_SETS_PER_CHUNK, place = number % FL_SETS_PER_CHUNK;
  void* sets = bpf_map_lookup_elem(&fl_sets, &chunk);
  return sets ? bpf_map_lookup_elem(sets, &place) : 0;
}

#endif
