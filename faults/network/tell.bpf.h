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
__noinline int fl_count_event(struct fl_targets* targets, __u32 event) {
  __u32 target;
  if (!targets) return 0;
  FL_FOR_EACH_TARGET(targets, target) {
    struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
    if (stats) __sync_fetch_and_add(&stats->events[event & (FL_EVENTS - 1)], 1);
  }
  return 0;
}

/* Whether the target has been told enough of that type. */
static __always_inline int fl_knows_enough(struct fl_target_stats* stats, __u32 type) {
  __u64* told = &stats->told[type & (FL_TELLS - 1)];
  return *(volatile __u64*)told >= FL_TELL_MOST || __sync_fetch_and_add(told, 1) >= FL_TELL_MOST;
}

__noinline int fl_tell_one(__u32 target, struct fl_packet* p, struct fl_news* news) {
  struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
  struct fl_event* event = 0;
  if (!stats || !p || !news) return 0;
  if (!fl_knows_enough(stats, news->type))
    event = bpf_ringbuf_reserve(&fl_event_ring, sizeof(*event), 0);
  if (!event) {
    __sync_fetch_and_add(&stats->events[FL_EVENT_LOST], 1);
    return 0;
  }
  event->at_ns = bpf_ktime_get_boot_ns();
  __builtin_memcpy(event->address, p->address, sizeof(event->address));
  event->local_port = p->local_port;
  event->peer_port = p->peer_port;
  event->protocol = p->protocol;
  event->direction = news->direction;
  event->type = news->type;
  event->open = news->open;
  event->reason = news->reason;
  event->target = target;
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  return 0;
}

__noinline int fl_tell(struct fl_targets* targets, struct fl_packet* p, struct fl_news* news) {
  __u32 target;
  if (!targets || !p || !news) return 0;
  FL_FOR_EACH_TARGET(targets, target) fl_tell_one(target, p, news);
  return 0;
}

#endif
