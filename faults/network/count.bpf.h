/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a packet told, added up for each of its targets. */
#ifndef FAULTLINE_NETWORK_COUNT_BPF_H
#define FAULTLINE_NETWORK_COUNT_BPF_H

#include "base/log_linear.h"
#include "faults/network/act.bpf.h"
#include "faults/network/stats.bpf.h"
#include "faults/network/tcp_events.bpf.h"

/* Global, as the functions below: verified once, by itself, and not for each target. */
__noinline int fl_record(__u32 hist, __u32 target, __u64 value_ns) {
  struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
  if (stats && fl_add_one(target, FL_COUNTERS_OF_HIST(hist) + fl_hist_bucket(value_ns)))
    __sync_fetch_and_add(&stats->not_measurable[FL_REASON_NO_ROOM], 1);
  return 0;
}

/* Counts a packet for one of its targets. */
__noinline int fl_count_one(__u32 target, __u64 bytes, struct fl_turn* turn) {
  struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
  if (!stats || !turn) return 0;
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
  return 0;
}

__noinline int fl_count(struct fl_targets* targets, __u64 bytes, struct fl_turn* turn) {
  __u32 target;
  if (!targets || !turn) return 0;
  FL_FOR_EACH_TARGET(targets, target) fl_count_one(target, bytes, turn);
  return 0;
}

/* The same for what few packets tell. */
__noinline int fl_count_seen_one(__u32 target, struct fl_seen* seen) {
  struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
  if (!stats || !seen) return 0;
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
  return 0;
}

__noinline int fl_count_seen(struct fl_targets* targets, struct fl_seen* seen) {
  __u32 target;
  if (!targets || !seen) return 0;
  FL_FOR_EACH_TARGET(targets, target) fl_count_seen_one(target, seen);
  return 0;
}

#endif
