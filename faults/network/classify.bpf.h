/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From a packet's properties to what it belongs to. */
#ifndef FAULTLINE_NETWORK_CLASSIFY_BPF_H
#define FAULTLINE_NETWORK_CLASSIFY_BPF_H

#include "faults/network/receiver.bpf.h"

/* Keeps the words of which that vector, or what it is of no concern to, has something. Result: 0
 * when there is no such vector. */
static __always_inline int fl_keep(struct fl_search* search, struct fl_bits* any, __u32 number) {
  __u64 rules = any->rules, targets = any->targets;
  if (number) {
    struct fl_bits* set = fl_set(number);
    if (!set) return 0;
    rules |= set->rules;
    targets |= set->targets;
  }
  search->rules &= rules;
  search->targets &= targets;
  barrier(); /* else the compiler looks ahead, and keeps what it saw on the stack */
  return 1;
}

/* Whether one of the words that are left has something of these. */
static __always_inline int fl_has(struct fl_search* search, struct fl_bits* some) {
  return (search->rules & some->rules) || (search->targets & some->targets);
}

static __always_inline int fl_search_port(__u8 side, struct fl_packet* p,
                                          struct fl_search* search) {
  __u32 number = 0;
  if (p->has_ports)
    number = fl_tables.port_set[side][side == FL_LOCAL ? p->local_port : p->peer_port];
  search->port[side] = number;
  return fl_keep(search, &fl_tables.any_port[side], number);
}

static __always_inline struct fl_covering* fl_covering_of(struct fl_packet* p, __u8 side,
                                                          struct fl_prefix_key* key) {
  __u32* address = p->address[side];
  int is_ipv4 = fl_is_ipv4(address);
  key->of = FL_PREFIX_OF(side, is_ipv4);
  key->prefix_bits = FL_PREFIX_BITS(is_ipv4 ? 32 : 128);
  for (int i = 0; i < 4; i++) key->address[i] = address[i];
  if (is_ipv4) key->address[0] = address[3];
  return bpf_map_lookup_elem(&fl_prefixes, key);
}

/* Result: 0 when there is nothing to find. */
static __always_inline int fl_search_addresses(struct fl_packet* p, struct fl_search* search) {
  struct fl_prefix_key key;
  struct fl_covering* covering;
  __u32 asks = *(volatile __u32*)&fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)].asks;
  if (!(asks & (FL_ASKS_LOCAL_NET | FL_ASKS_PEER_NET | FL_ASKS_EXCLUDED))) return 1;
  if (asks & FL_ASKS_LOCAL_NET && fl_has(search, &fl_tables.by_address[FL_LOCAL])) {
    covering = fl_covering_of(p, FL_LOCAL, &key);
    if (covering) search->address[FL_LOCAL] = covering->in;
  }
  if (asks & FL_ASKS_LOCAL_NET &&
      !fl_keep(search, &fl_tables.any_address[FL_LOCAL], search->address[FL_LOCAL]))
    return 0;
  if ((asks & FL_ASKS_PEER_NET && fl_has(search, &fl_tables.by_address[FL_PEER])) ||
      (asks & FL_ASKS_EXCLUDED && fl_has(search, &fl_tables.excluding))) {
    covering = fl_covering_of(p, FL_PEER, &key);
    if (covering) {
      search->address[FL_PEER] = covering->in;
      search->excluded = covering->out;
    }
  }
  if (asks & FL_ASKS_PEER_NET &&
      !fl_keep(search, &fl_tables.any_address[FL_PEER], search->address[FL_PEER]))
    return 0;
  return search->rules || search->targets;
}

static __always_inline int fl_is_in(struct fl_sole_peer* sole, __u32 family, __u32* address) {
  if (fl_is_ipv4(address))
    return family == FL_SOLE_IPV4 && (address[3] & sole->mask[3]) == sole->address[3];
  for (int i = 0; i < 4; i++)
    if ((address[i] & sole->mask[i]) != sole->address[i]) return 0;
  return family == FL_SOLE_IPV6;
}

/* Adds the one rule of a word if the packet is in its sole network. Result: 0 when it has none.
 * Global, as the functions below: verified once, by itself. */
__noinline int fl_ask_sole(struct fl_packet* p, struct fl_found* found, __u32 index, __u64 word) {
  __u32 id = index * 64 + fl_lowest_bit(word);
  struct fl_sole_peer* sole;
  __u32 family;
  if (!p || !found) return 0;
  barrier_var(id); /* as in fl_add_rule */
  id &= FL_MAX_RULES - 1;
  sole = &fl_tables.rule[id].sole_peer;
  family = *(volatile __u32*)&sole->family;
  if (!family) return 0;
  if (fl_is_in(sole, family, p->address[FL_PEER])) fl_add_rule(found, id);
  return 1;
}

/* Answers for all rules when only one is left, and one look at its own network tells. Result: 0
 * when addresses have to be looked up. */
static __always_inline int fl_search_sole(struct fl_packet* p, struct fl_search* search,
                                          struct fl_found* found) {
  __u32 index, asks = *(volatile __u32*)&fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)].asks;
  __u64 word;
  if (!(asks & FL_ASKS_PEER_NET)) return 0;
  if (!search->rules || search->rules & (search->rules - 1)) return 0;
  if (search->targets &
      (fl_tables.by_address[FL_LOCAL].targets | fl_tables.by_address[FL_PEER].targets))
    return 0;
  index = fl_lowest_bit(search->rules);
  word = fl_left_by_ports(p, search, FL_TARGET_WORDS + index, &asks);
  if (word & (word - 1) || asks & FL_ASKS_CGROUP) return 0;
  if (word && !fl_ask_sole(p, found, index, word)) return 0;
  search->rules = 0;
  return 1;
}

/* Begins a search by what the packet itself says, but for its addresses; returns 0 when there is
 * nothing to find. */
static __always_inline int fl_begin_search(struct fl_packet* p, __u32 direction,
                                           struct fl_search* search) {
  struct fl_hook* at = &fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)];
  struct fl_bits* hook = &at->bits[direction & 1];
  __u32 asks;
  __builtin_memset(search, 0, sizeof(*search));
  search->direction = direction & 1;
  search->rules = hook->rules;
  search->targets = hook->targets;
  asks = *(volatile __u32*)&at->asks;
  barrier();
  if (asks & FL_ASKS_PROTOCOL) {
    struct fl_bits* protocol = &fl_tables.protocol[p->protocol & (FL_PROTOS - 1)];
    search->rules &= protocol->rules;
    search->targets &= protocol->targets;
  }
  if (asks & FL_ASKS_LOCAL_PORT && !fl_search_port(FL_LOCAL, p, search)) return 0;
  if (asks & FL_ASKS_PEER_PORT && !fl_search_port(FL_PEER, p, search)) return 0;
  return search->rules || search->targets;
}

/* Finds the cgroups that a packet's sender is in. Global, as the function below: verified once, by
 * itself. */
__noinline int fl_find_senders(struct __sk_buff* skb, struct fl_inside* inside) {
  if (!inside) return 0;
  for (int level = 0; level < FL_CGROUP_LEVELS; level++)
    if (fl_tables.cgroup_levels >> level & 1)
      fl_add_cgroup(bpf_skb_ancestor_cgroup_id(skb, level), inside);
  return 0;
}

/* What is left to do once a packet was looked at: */
#define FL_FIND_CGROUPS 1 /* find those that it is in, and look again */
#define FL_COLLECT 2      /* fl_collect */

/* Begins to fill `found`, whose cgroups alone may be there, of a packet. Result: what is left to
 * do, or 0. Global, as the next: verified once, by itself. */
__noinline int fl_classify(struct fl_packet* p, struct fl_found* found, __u32 direction,
                           int knows_cgroups) {
  struct fl_search* search;
  if (!p || !found) return 0;
  search = &found->search;
  if (fl_begin_search(p, direction, search)) {
    if (fl_search_sole(p, search, found)) return search->targets ? FL_COLLECT : 0;
    if (fl_search_addresses(p, search)) {
      if (!knows_cgroups &&
          *(volatile __u32*)&fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)].asks & FL_ASKS_CGROUP &&
          fl_has(search, &fl_tables.by_cgroup))
        return FL_FIND_CGROUPS;
      return FL_COLLECT;
    }
  }
  found->targets = (struct fl_targets){};
  return 0;
}

/* Adds what the words that are left say. Apart from the search, and that by numbers: newer
 * verifiers (7.3) tell one looked-up vector from another, and would walk the loops in here once for
 * each way in which a search can come to its vectors, over a million instructions. */
__noinline int fl_collect(struct fl_packet* p, struct fl_found* found) {
  struct fl_search here, *search = &here;
  if (!p || !found) return 0;
  here = found->search;
  barrier_var(search); /* in memory: registers are few */
  found->targets = (struct fl_targets){};
  fl_collect_rules(p, search, found);
  found->serves = fl_collect_targets(p, search, &found->inside, &found->targets);
  return 0;
}

#endif
