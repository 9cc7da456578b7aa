/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A packet's way to the lane. */
#ifndef FAULTLINE_NETWORK_LANE_BPF_H
#define FAULTLINE_NETWORK_LANE_BPF_H

#include "faults/network/mark.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FL_PARKED);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_lane_prefix);
} fl_parked SEC(".maps");

/* Parks the prefix of a packet that is too large to carry it. Not 0 when that cannot be: of a
 * VLAN's, whose tag has that place, or stands behind it where the lane looks for IP. */
static __always_inline int fl_park(struct __sk_buff* skb, struct fl_lane_prefix* prefix) {
  __u32 place;
  struct fl_lane_prefix* parked;
  if (prefix->tagged || fl_is_tag(skb->protocol)) return -1;
  place = __sync_fetch_and_add(&fl_tables.parked, 1) & (FL_PARKED - 1);
  parked = bpf_map_lookup_elem(&fl_parked, &place);
  if (!parked) return -1;
  *parked = *prefix;
  return bpf_skb_vlan_push(skb, bpf_htons(FL_RETURN_ETHERTYPE), place);
}

static __always_inline int fl_to_lane(struct __sk_buff* skb, __u32 lane_ifindex,
                                      struct fl_lane_prefix* prefix, __u32 count) {
  int unfit = 0;
  prefix->tagged = skb->vlan_present != 0;
  if (bpf_skb_change_head(skb, sizeof(*prefix), 0))
    unfit = fl_park(skb, prefix);
  else if (bpf_skb_store_bytes(skb, 0, prefix, sizeof(*prefix), 0))
    return fl_lose(skb);
  for (int i = 0; i < prefix->rule_count && i < FL_MAX_RULES_PER_PACKET; i++) {
    __u32 id = prefix->rule[i];
    struct fl_counters* counters = bpf_map_lookup_elem(&fl_counters, &id);
    if (!counters) continue;
    __sync_fetch_and_add(unfit ? &counters->left_alone : &counters->acted, count);
  }
  return unfit ? FL_PASS : bpf_redirect(lane_ifindex, 0);
}

#endif
