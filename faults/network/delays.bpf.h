/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* How long packets have waited for each rule: a histogram, in which the TAP lane's thread counts as
 * well (delay_times.h). */
#ifndef FAULTLINE_NETWORK_DELAYS_BPF_H
#define FAULTLINE_NETWORK_DELAYS_BPF_H

#include "faults/network/stats.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FL_MAX_RULES);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_delays);
} fl_delays SEC(".maps");

FL_CHUNK_STORE(fl_delay_chunks, fl_free_delay_chunks);

/* Counts packets that have waited so long for the rule. Global: verified once, by itself. */
__noinline int fl_note_delay(__u32 rule, __u64 given_ns, __u32 count) {
  __u32 bucket = fl_hist_bucket(given_ns), place = bucket / FL_CHUNK_COUNTERS;
  struct fl_delays* delays = bpf_map_lookup_elem(&fl_delays, &rule);
  if (!delays || !*(volatile __u32*)&delays->open || place >= FL_DELAY_CHUNKS) return 0;
  if (fl_add_in_chunk(&fl_delay_chunks, &fl_free_delay_chunks, &delays->number[place], bucket,
                      count))
    __sync_fetch_and_add(&delays->no_room, count);
  return 0;
}

#endif
