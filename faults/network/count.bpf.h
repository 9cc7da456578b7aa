/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a packet told, added up for each of its targets. */
#ifndef FAULTLINE_NETWORK_COUNT_BPF_H
#define FAULTLINE_NETWORK_COUNT_BPF_H

#include "base/log_linear.h"
#include "faults/network/act.bpf.h"
#include "faults/network/stats.bpf.h"
#include "faults/network/tcp_events.bpf.h"

/* Adds a time to one of a target's histograms; `noted` says that it is not empty. */
static __always_inline void fl_record(struct fl_target_stats* stats, __u32 target, __u32 hist,
                                      __u64 value_ns, __u64* noted) {
  if (fl_add_one(target, FL_COUNTERS_OF_HIST(hist) + fl_hist_bucket(value_ns)))
    __sync_fetch_and_add(&stats->not_measurable[FL_REASON_NO_ROOM], 1);
  /* After the time, and written only when it must be: others read there. */
  if (!*(volatile __u64*)noted) *(volatile __u64*)noted = 1;
}

/* What few packets tell. */
static __always_inline void fl_note_rare(struct fl_target_stats* stats, __u32 target,
                                         struct fl_seen* seen) {
  if (seen->event) __sync_fetch_and_add(&stats->events[seen->event & (FL_EVENTS - 1)], 1);
  if (seen->retransmits)
    __sync_fetch_and_add(&stats->events[FL_EVENT_RETRANSMIT], seen->retransmits);
  if (seen->handshake_ns)
    fl_record(stats, target, FL_HIST_HANDSHAKE, seen->handshake_ns,
              &stats->events[FL_EVENT_HANDSHAKE]);
}

/* The times and the rest that a packet tells of one of its targets. Global, as the function below:
 * verified once, by itself. */
__noinline int fl_note(__u32 target, struct fl_seen* seen) {
  struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
  if (!stats || !seen) return 0;
  if (seen->reason)
    __sync_fetch_and_add(&stats->not_measurable[seen->reason & (FL_REASONS - 1)], 1);
  if (seen->sample_ns) fl_record(stats, target, FL_HIST_LATENCY, seen->sample_ns, &stats->samples);
  if (seen->rtt_us)
    fl_record(stats, target, FL_HIST_RTT, seen->rtt_us * 1000ull, &stats->events[FL_EVENT_RTT]);
  if (seen->rare) fl_note_rare(stats, target, seen);
  return 0;
}

static __always_inline void fl_add_traffic(__u32 target, __u64 bytes) {
  __u32 part = FL_TRAFFIC_PART(target, bpf_get_smp_processor_id());
  struct fl_traffic* traffic = bpf_map_lookup_elem(&fl_traffic, &part);
  if (!traffic) return;
  __sync_fetch_and_add(&traffic->packets, 1);
  __sync_fetch_and_add(&traffic->bytes, bytes);
}

/* Counts a packet that tells no more for each of its targets. */
__noinline int fl_count_packet(struct fl_targets* targets, __u64 bytes) {
  __u32 target;
  if (!targets) return 0;
  FL_FOR_EACH_TARGET(targets, target) fl_add_traffic(target, bytes);
  return 0;
}

/* Counts a packet for one of its targets; 0 `bytes` for one that has been counted. */
static __always_inline void fl_count(__u32 target, __u64 bytes, struct fl_seen* seen) {
  if (bytes) fl_add_traffic(target, bytes);
  if (seen->reason || seen->sample_ns || seen->rtt_us || seen->rare) fl_note(target, seen);
}

/* The same, verified once and not for each turn of a loop. */
__noinline int fl_count_one(__u32 target, __u64 bytes, struct fl_seen* seen) {
  if (seen) fl_count(target, bytes, seen);
  return 0;
}

#endif
