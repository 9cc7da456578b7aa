/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What is counted for each target. */
#ifndef FAULTLINE_NETWORK_STATS_BPF_H
#define FAULTLINE_NETWORK_STATS_BPF_H

#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

#include "faults/network/datapath.h"
#include "faults/network/lowest_bit.bpf.h"
#include "faults/network/table_maps.bpf.h"

/* A set of targets. */
struct fl_targets {
  __u64 words; /* bit i is set when word i is not 0 */
  __u64 word[FL_TARGET_WORDS];
};

/* Runs what follows with `target`, a __u32, for each of them. No `break`. */
#define FL_FOR_EACH_TARGET(targets, target)                                               \
  for (__u32 fl_at = 0; fl_at < FL_TARGET_WORDS && (targets)->words >> fl_at; fl_at++)    \
    for (__u64 fl_rest = (targets)->word[fl_at], fl_turn_ = 0;                            \
         fl_turn_ < 64 && fl_rest && ((target) = fl_at * 64 + fl_lowest_bit(fl_rest), 1); \
         fl_rest &= fl_rest - 1, fl_turn_++)

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FL_MAX_TARGETS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_target_stats);
} fl_stats SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FL_MAX_TARGETS* FL_TRAFFIC_PARTS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_traffic);
} fl_traffic SEC(".maps");

/* A store of counters: its chunks, and the numbers of those that are nobody's, all 0. */
#define FL_CHUNK_STORE(chunks, free_chunks) \
  struct {                                  \
    __uint(type, BPF_MAP_TYPE_ARRAY);       \
    __uint(max_entries, FL_CHUNKS);         \
    __uint(map_flags, BPF_F_MMAPABLE);      \
    __type(key, __u32);                     \
    __type(value, struct fl_chunk);         \
  } chunks SEC(".maps");                    \
  struct {                                  \
    __uint(type, BPF_MAP_TYPE_QUEUE);       \
    __uint(max_entries, FL_CHUNKS);         \
    __type(value, __u32);                   \
  } free_chunks SEC(".maps")

FL_CHUNK_STORE(fl_chunks, fl_free_chunks);

/* Adds to a counter in a chunk, whose number stands `at`; the maps are those of its store. -1 when
 * there is no room for it. */
static __always_inline int fl_add_in_chunk(void* chunks, void* free_chunks, __u32* at,
                                           __u32 counter, __u64 count) {
  __u32 number = *(volatile __u32*)at, other;
  struct fl_chunk* chunk;
  if (!number) {
    if (bpf_map_pop_elem(free_chunks, &number)) return -1;
    other = __sync_val_compare_and_swap(at, 0, number);
    if (other) {
      bpf_map_push_elem(free_chunks, &number, 0);
      number = other;
    }
  }
  chunk = bpf_map_lookup_elem(chunks, &number);
  if (chunk) __sync_fetch_and_add(&chunk->count[counter & (FL_CHUNK_COUNTERS - 1)], count);
  return 0;
}

/* Adds one to a counter of the target; -1 when there is no room for it. */
static __always_inline int fl_add_one(__u32 target, __u32 counter) {
  __u32 place = counter / FL_CHUNK_COUNTERS;
  if (target >= FL_MAX_TARGETS || place >= FL_TARGET_CHUNKS) return -1;
  return fl_add_in_chunk(&fl_chunks, &fl_free_chunks, &fl_tables.chunk_of[target][place], counter,
                         1);
}

#endif
