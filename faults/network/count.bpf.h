/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a packet told, added up for each of its targets. */
#ifndef FAULTLINE_NETWORK_COUNT_BPF_H
#define FAULTLINE_NETWORK_COUNT_BPF_H

#include "base/log_linear.h"
#include "faults/network/act.bpf.h"
#include "faults/network/stats.bpf.h"
#include "faults/network/tcp_events.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FL_HISTS* FL_MAX_TARGETS* FL_HIST_BUCKETS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, __u64);
} fl_histograms SEC(".maps");

/* Global: its many branches are verified once, and not for each target. */
__noinline int fl_record(__u32 hist, __u32 target, __u64 value_ns) {
  __u32 index = FL_HIST_AT(hist, target) + fl_hist_bucket(value_ns);
  __u64* bucket = bpf_map_lookup_elem(&fl_histograms, &index);
  if (bucket) __sync_fetch_and_add(bucket, 1);
  return 0;
}

__noinline int fl_count(__u64 targets, __u64 bytes, struct fl_turn* turn) {
  if (!turn) return 0;
  for (int i = 0; i < FL_MAX_TARGETS && targets; i++) {
    __u32 target = fl_lowest_bit(targets);
    struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
    targets &= targets - 1;
    if (!stats) return 0;
    if (bytes) {
      __sync_fetch_and_add(&stats->packets, 1);
      __sync_fetch_and_add(&stats->bytes, bytes);
    }
    if (turn->reason)
      __sync_fetch_and_add(&stats->not_measurable[turn->reason & (FL_REASONS - 1)], 1);
    if (turn->sample_ns) {
      fl_record(FL_HIST_LATENCY, target, turn->sample_ns);
      __sync_fetch_and_add(&stats->samples, 1);
    }
  }
  return 0;
}

/* The same for what few packets tell. */
__noinline int fl_count_seen(__u64 targets, struct fl_seen* seen) {
  if (!seen) return 0;
  for (int i = 0; i < FL_MAX_TARGETS && targets; i++) {
    __u32 target = fl_lowest_bit(targets);
    struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
    targets &= targets - 1;
    if (!stats) return 0;
    if (seen->event) __sync_fetch_and_add(&stats->events[seen->event & (FL_EVENTS - 1)], 1);
    if (seen->retransmits)
      __sync_fetch_and_add(&stats->events[FL_EVENT_RETRANSMIT], seen->retransmits);
    if (seen->rtt_ns) {
      fl_record(FL_HIST_RTT, target, seen->rtt_ns);
      __sync_fetch_and_add(&stats->events[FL_EVENT_RTT], 1);
    }
    if (seen->handshake_ns) {
      fl_record(FL_HIST_HANDSHAKE, target, seen->handshake_ns);
      __sync_fetch_and_add(&stats->events[FL_EVENT_HANDSHAKE], 1);
    }
  }
  return 0;
}

#endif
