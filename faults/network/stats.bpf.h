/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What is counted for each target. */
#ifndef FAULTLINE_NETWORK_STATS_BPF_H
#define FAULTLINE_NETWORK_STATS_BPF_H

#include <bpf/bpf_helpers.h>

#include "faults/network/datapath.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FL_MAX_TARGETS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_target_stats);
} fl_stats SEC(".maps");

#endif
