/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From a packet's properties to what it belongs to. */
#ifndef FAULTLINE_NETWORK_CLASSIFY_BPF_H
#define FAULTLINE_NETWORK_CLASSIFY_BPF_H

#include "faults/network/receiver.bpf.h"

/* Keeps the words of which that vector, or what it is of no concern to, has something. */
static __always_inline void fl_keep(struct fl_search* search, struct fl_bits* any,
                                    struct fl_bits* set) {
  search->rules &= any->rules | (set ? set->rules : 0);
  search->targets &= any->targets | (set ? set->targets : 0);
}

/* Whether one of the words that are left has something of these. */
static __always_inline int fl_has(struct fl_search* search, struct fl_bits* some) {
  return (search->rules & some->rules) || (search->targets & some->targets);
}

static __always_inline void fl_search_port(struct fl_tables* t, __u8 side, __u16 port,
                                           struct fl_search* search) {
  __u16 number = t->port_set[side][port];
  search->set[side == FL_LOCAL ? FL_OF_LOCAL_PORT : FL_OF_PEER_PORT] = number;
  fl_keep(search, &t->any_port[side], number ? fl_set(number) : 0);
}

static __always_inline void fl_search_address(struct fl_tables* t, struct fl_packet* p, __u8 side,
                                              struct fl_search* search) {
  struct fl_prefix_key key = {.prefix_bits = 8 + 128, .side = side};
  struct fl_covering* covering;
  if (!fl_has(search, &t->by_address[side]) && (side == FL_LOCAL || !fl_has(search, &t->excluding)))
    return;
  __builtin_memcpy(key.address, p->address[side], sizeof(key.address));
  covering = bpf_map_lookup_elem(&fl_prefixes, &key);
  if (covering) {
    search->set[side == FL_LOCAL ? FL_OF_LOCAL_NET : FL_OF_PEER_NET] = covering->in;
    if (side == FL_PEER) search->set[FL_OF_EXCLUDED] = covering->out;
  }
  fl_keep(search, &t->any_address[side], covering && covering->in ? fl_set(covering->in) : 0);
}

/* Begins a search by what the packet itself says; returns 0 when there is nothing to find. Global:
 * verified once, by itself. */
__noinline int fl_search(struct fl_packet* p, struct fl_search* search) {
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  struct fl_bits *hook, *protocol;
  if (!t || !p || !search) return 0;
  hook = &t->hook[search->hook & (FL_MAX_HOOKS - 1)].bits[search->direction & 1];
  protocol = &t->protocol[p->protocol & (FL_PROTOS - 1)];
  search->rules = hook->rules & protocol->rules;
  search->targets = hook->targets & protocol->targets;
  if (p->has_ports) {
    fl_search_port(t, FL_LOCAL, p->local_port, search);
    fl_search_port(t, FL_PEER, p->peer_port, search);
  } else {
    fl_keep(search, &t->any_port[FL_LOCAL], 0);
    fl_keep(search, &t->any_port[FL_PEER], 0);
  }
  if (!search->rules && !search->targets) return 0;
  fl_search_address(t, p, FL_LOCAL, search);
  fl_search_address(t, p, FL_PEER, search);
  return search->rules || search->targets;
}

/* Finds the cgroups that a packet's sender is in. */
__noinline int fl_find_senders(struct __sk_buff* skb, struct fl_search* search) {
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  if (!t || !search) return 0;
  for (int level = 0; level < FL_CGROUP_LEVELS; level++)
    if (t->cgroup_levels >> level & 1)
      fl_add_cgroup(bpf_skb_ancestor_cgroup_id(skb, level), search);
  return 0;
}

/* A packet that came back from the lane. */
#define FL_AGAIN 2

/* Fills `found`, which is empty, of a packet at that hook; `way` is its direction, with FL_AGAIN. A
 * packet's cgroup is known only when it is met first: a reinjected one has lost its socket, and
 * belongs to nothing that names a cgroup. */
__noinline int fl_classify(struct __sk_buff* skb, struct fl_packet* p, struct fl_found* found,
                           __u32 hook, __u32 way) {
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  struct fl_search search = {.hook = hook, .direction = way & 1};
  if (!t || !p || !found || !fl_search(p, &search)) return 0;
  p->count = t->lane_cuts && skb->gso_segs ? skb->gso_segs : 1;
  if (!(way & FL_AGAIN) && fl_has(&search, &t->by_cgroup)) {
    if (search.direction == FL_EGRESS)
      fl_find_senders(skb, &search);
    else
      fl_find_receivers(skb, p, &search);
  }
  fl_collect(&search, p, found);
  return 0;
}

#endif
