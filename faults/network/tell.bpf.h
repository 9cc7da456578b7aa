/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Rare events, told to user space one by one while there is room; those that find none are counted.
 * All of them are counted by their kind anyway. */
#ifndef FAULTLINE_NETWORK_TELL_BPF_H
#define FAULTLINE_NETWORK_TELL_BPF_H

#include "faults/network/packet.bpf.h"
#include "faults/network/stats.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, FL_EVENT_RING_BYTES);
} fl_event_ring SEC(".maps");

struct fl_news {
  __u8 type; /* FL_TELL_ */
  __u8 direction;
  __u8 open;
  __u32 reason;
};

/* Adds one to that event of each target. Global, as the functions below: verified once, by itself.
 */
__noinline int fl_count_event(__u64 targets, __u32 event) {
  for (int i = 0; i < FL_MAX_TARGETS && targets >> i; i++) {
    __u32 target = i;
    struct fl_target_stats* stats;
    if (!(targets >> i & 1)) continue;
    stats = bpf_map_lookup_elem(&fl_stats, &target);
    if (!stats) return 0;
    __sync_fetch_and_add(&stats->events[event & (FL_EVENTS - 1)], 1);
  }
  return 0;
}

/* Those of the targets that have not been told enough of that type. */
__noinline __u64 fl_still_to_tell(__u64 targets, __u32 type) {
  __u64 few = 0;
  for (int i = 0; i < FL_MAX_TARGETS && targets >> i; i++) {
    __u32 target = i;
    struct fl_target_stats* stats;
    __u64* told;
    if (!(targets >> i & 1)) continue;
    stats = bpf_map_lookup_elem(&fl_stats, &target);
    if (!stats) return 0;
    told = &stats->told[type & (FL_TELLS - 1)];
    if (*(volatile __u64*)told >= FL_TELL_MOST) continue;
    if (__sync_fetch_and_add(told, 1) < FL_TELL_MOST) few |= 1ull << i;
  }
  return few;
}

__noinline int fl_tell(__u64 targets, struct fl_packet* p, struct fl_news* news) {
  struct fl_event* event;
  __u64 few;
  if (!p || !news) return 0;
  few = fl_still_to_tell(targets, news->type);
  event = few ? bpf_ringbuf_reserve(&fl_event_ring, sizeof(*event), 0) : 0;
  if (!event) {
    fl_count_event(targets, FL_EVENT_LOST);
    return 0;
  }
  event->targets = few;
  event->at_ns = bpf_ktime_get_boot_ns();
  __builtin_memcpy(event->address, p->address, sizeof(event->address));
  event->local_port = p->local_port;
  event->peer_port = p->peer_port;
  event->protocol = p->protocol;
  event->direction = news->direction;
  event->type = news->type;
  event->open = news->open;
  event->reason = news->reason;
  event->reserved = 0;
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  if (few != targets) fl_count_event(targets & ~few, FL_EVENT_LOST);
  return 0;
}

#endif
