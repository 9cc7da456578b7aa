/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What user space tells the programs. */
#ifndef FAULTLINE_NETWORK_TABLE_MAPS_BPF_H
#define FAULTLINE_NETWORK_TABLE_MAPS_BPF_H

#include <bpf/bpf_helpers.h>

#include "faults/network/datapath.h"

#define FL_CGROUP_LEVELS 16

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_tables);
} fl_tables SEC(".maps");

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
  __type(value, struct fl_bits);
} fl_cgroups SEC(".maps");

#endif
