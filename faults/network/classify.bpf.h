/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From a packet's properties to the set of rules and targets that it belongs to. */
#ifndef FAULTLINE_NETWORK_CLASSIFY_BPF_H
#define FAULTLINE_NETWORK_CLASSIFY_BPF_H

#include "faults/network/receiver.bpf.h"

/* Keeps of `set` what has no address filter on that side or one that covers the address, and does
 * not leave it out. */
static __always_inline void fl_match_address(struct fl_tables* t, struct fl_packet* p, __u8 side,
                                             struct fl_bits* set) {
  struct fl_prefix_key key = {.prefix_bits = 8 + 128, .side = side};
  struct fl_covering* covering;
  __u64 filtered = 0;
  for (int i = 0; i < FL_WORDS; i++)
    filtered |= set->word[i] &
                (~t->any_address[side].word[i] | (side == FL_PEER ? t->excluding.word[i] : 0));
  if (!filtered) return;
  __builtin_memcpy(key.address, p->address[side], sizeof(key.address));
  covering = bpf_map_lookup_elem(&fl_prefixes, &key);
  for (int i = 0; i < FL_WORDS; i++)
    set->word[i] &= (t->any_address[side].word[i] | (covering ? covering->in.word[i] : 0)) &
                    ~(covering ? covering->out.word[i] : 0);
}

/* Whether what names a cgroup is in `set`. */
static __always_inline int fl_names_cgroup(struct fl_tables* t, struct fl_bits* set) {
  __u64 filtered = 0;
  for (int i = 0; i < FL_WORDS; i++) filtered |= set->word[i] & ~t->any_cgroup.word[i];
  return filtered != 0;
}

static __always_inline void fl_add_cgroup(__u64 id, struct fl_bits* inside) {
  struct fl_bits* bits = id ? bpf_map_lookup_elem(&fl_cgroups, &id) : 0;
  if (!bits) return;
  for (int i = 0; i < FL_WORDS; i++) inside->word[i] |= bits->word[i];
}

/* Keeps of `set` what names no cgroup or one that is in `inside`. */
static __always_inline void fl_keep_inside(struct fl_tables* t, struct fl_bits* inside,
                                           struct fl_bits* set) {
  for (int i = 0; i < FL_WORDS; i++) set->word[i] &= t->any_cgroup.word[i] | inside->word[i];
}

/* The same for what a packet's sender belongs to. */
__noinline int fl_keep_senders(struct __sk_buff* skb, struct fl_bits* set) {
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  struct fl_bits inside = {};
  if (!t || !set) return 0;
  for (int level = 0; level < FL_CGROUP_LEVELS; level++) {
    struct fl_bits* bits;
    __u64 id;
    if (!(t->cgroup_levels >> level & 1)) continue;
    id = bpf_skb_ancestor_cgroup_id(skb, level);
    bits = id ? bpf_map_lookup_elem(&fl_cgroups, &id) : 0;
    if (!bits) continue;
    for (int i = 0; i < FL_WORDS; i++) inside.word[i] |= bits->word[i];
  }
  for (int i = 0; i < FL_WORDS; i++) set->word[i] &= t->any_cgroup.word[i] | inside.word[i];
  return 0;
}

/* A packet's cgroup is known only when it is met first: a reinjected one has lost its socket. Then
 * what names a cgroup is dropped from `set`. */
static __always_inline void fl_match_cgroup(struct __sk_buff* skb, struct fl_tables* t,
                                            __u32 direction, struct fl_packet* p, __u8 first,
                                            struct fl_bits* set) {
  __u64 filtered = 0;
  for (int i = 0; i < FL_WORDS; i++) filtered |= set->word[i] & ~t->any_cgroup.word[i];
  if (!filtered) return;
  if (!first) {
    for (int i = 0; i < FL_WORDS; i++) set->word[i] &= t->any_cgroup.word[i];
  } else if (direction == FL_EGRESS) {
    fl_keep_senders(skb, set);
  } else {
    fl_keep_receivers(skb, p, set);
  }
}

/* Fills `set` by what the packet itself says; returns 0 when it cannot but be empty. */
static __always_inline int fl_match_packet(struct fl_tables* t, struct fl_hook* hook,
                                           __u32 direction, struct fl_packet* p,
                                           struct fl_bits* set) {
  __u32 words = hook->words[direction];
  __u64 found = 0;
  __u32 local = 0, peer = 0;
  if (p->has_ports) {
    local = t->port_class[FL_LOCAL][p->local_port] & (FL_MAX_PORT_CLASSES - 1);
    peer = t->port_class[FL_PEER][p->peer_port] & (FL_MAX_PORT_CLASSES - 1);
  }
  for (int i = 0; i < FL_WORDS; i++) {
    __u64 word = 0;
    if (words >> i & 1) {
      word = hook->bits[direction].word[i] & t->protocol[p->protocol].word[i];
      word &= t->any_port[FL_LOCAL].word[i] | t->port_class_bits[FL_LOCAL][local].word[i];
      word &= t->any_port[FL_PEER].word[i] | t->port_class_bits[FL_PEER][peer].word[i];
    }
    set->word[i] = word;
    found |= word;
  }
  if (!found) return 0;
  fl_match_address(t, p, FL_LOCAL, set);
  fl_match_address(t, p, FL_PEER, set);
  return 1;
}

/* Fills `set`; returns 0 when it is empty. */
static __always_inline int fl_classify(struct __sk_buff* skb, struct fl_tables* t,
                                       struct fl_hook* hook, __u32 direction, struct fl_packet* p,
                                       __u8 first, struct fl_bits* set) {
  __u64 found = 0;
  if (!fl_match_packet(t, hook, direction, p, set)) return 0;
  fl_match_cgroup(skb, t, direction, p, first, set);
  for (int i = 0; i < FL_WORDS; i++) found |= set->word[i];
  return found != 0;
}

#endif
