/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From vectors to the rules and targets that a packet belongs to. */
#ifndef FAULTLINE_NETWORK_FOUND_BPF_H
#define FAULTLINE_NETWORK_FOUND_BPF_H

#include "faults/network/packet.bpf.h"
#include "faults/network/stats.bpf.h"
#include "faults/network/table_maps.bpf.h"

/* The cgroups that a packet is in, as far as filters name them: numbers of vectors. */
struct fl_inside {
  __u16 set[FL_CGROUP_LEVELS];
  __u8 count : 5;
  __u8 of_rules : 1; /* targets are not told by them */
};

/* A packet that is being classified: numbers of the vectors of its properties, as far as filters at
 * the hook ask for them, else 0, the empty one's; and the words in which all have something. No
 * pointers: it is handed to functions that are verified by themselves. */
struct fl_search {
  __u64 targets;
  __u64 rules;
  __u16 port[2];    /* by side, */
  __u16 address[2]; /* as well */
  __u16 excluded;
  __u16 direction;
};

/* What a packet belongs to. Of rules no more than a packet obeys, those of the lowest numbers. */
struct fl_found {
  union {
    struct fl_search search; /* until fl_collect: all of these live on one small stack */
    struct fl_targets targets;
  };
  struct fl_lane_prefix prefix; /* its rules are those of the lane */
  __u16 lose[FL_MAX_RULES_PER_PACKET];
  __u8 loses : 5;          /* how many these are */
  __u8 serves : 1;         /* the local port is one that a target serves on */
  __u8 ruled : 1;          /* there are rules, whatever they say when they are asked */
  struct fl_inside inside; /* the caller's, as the next */
  __u32 generation;        /* of the tables, before they were looked at */
};

_Static_assert(FL_MAX_SETS <= 1 << 16, "numbers of vectors in fl_search");
_Static_assert(__builtin_offsetof(struct fl_search, targets) ==
                   __builtin_offsetof(struct fl_targets, words),
               "a search without targets is a packet of no target");
_Static_assert(sizeof(struct fl_search) <= sizeof(struct fl_targets), "fl_found does not grow");

static __always_inline void fl_add_rule(struct fl_found* found, __u32 id) {
  __u32 place;
  /* Hidden from the compiler: it would drop the mask, which older verifiers need, and keep places
   * in `found` on the stack. */
  barrier_var(id);
  barrier_var(found);
  id &= FL_MAX_RULES - 1;
  if (fl_tables.rule[id].action == FL_ACT_LOSE) {
    place = found->loses;
    if (place >= FL_MAX_RULES_PER_PACKET) return;
    found->lose[place & (FL_MAX_RULES_PER_PACKET - 1)] = id;
    found->loses = place + 1;
  } else {
    place = found->prefix.rule_count;
    if (place >= FL_MAX_RULES_PER_PACKET) return;
    found->prefix.rule[place & (FL_MAX_RULES_PER_PACKET - 1)] = id;
    found->prefix.rule_count = place + 1;
  }
}

/* Adds the rules of a word. Global, as the function below: verified once, by itself. */
__noinline int fl_add_rules(struct fl_found* found, __u32 index, __u64 word) {
  if (!found || index >= FL_RULE_WORDS) return 0;
  for (int i = 0; i < 64 && word; i++, word &= word - 1)
    fl_add_rule(found, index * 64 + fl_lowest_bit(word));
  return 0;
}

/* The packet is in that cgroup. */
static __always_inline void fl_add_cgroup(__u64 id, struct fl_inside* inside) {
  __u32* set = id ? bpf_map_lookup_elem(&fl_cgroups, &id) : 0;
  __u32 place = inside->count;
  if (!set || place >= FL_CGROUP_LEVELS) return;
  inside->set[place & (FL_CGROUP_LEVELS - 1)] = *set;
  inside->count = place + 1;
}

/* Those of a word that name one of the packet's cgroups. */
__noinline __u64 fl_word_inside(struct fl_inside* inside, __u32 index) {
  __u64 word = 0;
  if (!inside || index >= FL_WORDS || (inside->of_rules && index < FL_TARGET_WORDS)) return 0;
  for (__u32 i = 0; i < FL_CGROUP_LEVELS && i < inside->count; i++) {
    struct fl_bits* set = fl_set(inside->set[i]);
    if (set) word |= set->word[index];
  }
  return word;
}

/* One word of the vector of that number. */
static __always_inline __u64 fl_word_of(__u32 number, __u32 index) {
  struct fl_bits* set = fl_set(number);
  return set ? set->word[index] : 0;
}

/* What is left of one word when the vectors of protocols and ports have been asked, and what the
 * bits in it ask for. */
static __always_inline __u64 fl_left_by_ports(struct fl_packet* p, struct fl_search* search,
                                              __u32 index, __u32* asks_of) {
  struct fl_hook* at = &fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)];
  __u64 word = *(volatile __u64*)&at->bits[search->direction & 1].word[index];
  __u32 asks;
  __u64 none = word;
  /* Only now: what a bit asks for is said before the bit is set. Processors whose loads overtake
   * one another need the address to depend on the word. */
  asm volatile("%0 &= 0" : "+r"(none));
  asks = *(volatile __u32*)((void*)&at->asks + none);
  if (asks & FL_ASKS_PROTOCOL)
    word &= fl_tables.protocol[p->protocol & (FL_PROTOS - 1)].word[index];
  for (int side = 0; side < 2; side++)
    if (asks & (side == FL_LOCAL ? FL_ASKS_LOCAL_PORT : FL_ASKS_PEER_PORT))
      word &= fl_tables.any_port[side].word[index] | fl_word_of(search->port[side], index);
  *asks_of = asks;
  return word;
}

/* The same when all vectors have been asked. */
static __always_inline __u64 fl_left_of(struct fl_packet* p, struct fl_search* search,
                                        struct fl_inside* inside, __u32 index) {
  __u32 asks;
  __u64 word = fl_left_by_ports(p, search, index, &asks), elsewhere;
  for (int side = 0; side < 2; side++)
    if (asks & (side == FL_LOCAL ? FL_ASKS_LOCAL_NET : FL_ASKS_PEER_NET))
      word &= fl_tables.any_address[side].word[index] | fl_word_of(search->address[side], index);
  if (asks & FL_ASKS_EXCLUDED) word &= ~fl_word_of(search->excluded, index);
  if (!(asks & FL_ASKS_CGROUP)) return word;
  elsewhere = word & ~fl_tables.any_cgroup.word[index];
  return elsewhere ? word & (~elsewhere | fl_word_inside(inside, index)) : word;
}

/* Looks at the words of rules that all vectors name. */
static __always_inline void fl_collect_rules(struct fl_packet* p, struct fl_search* search,
                                             struct fl_found* found) {
  __u64 rules = search->rules;
  for (int i = 0; i < FL_RULE_WORDS && rules; i++, rules &= rules - 1) {
    __u32 index = fl_lowest_bit(rules);
    __u64 word;
    barrier_var(found);
    word = fl_left_of(p, search, &found->inside, FL_TARGET_WORDS + index);
    if (word & (word - 1))
      fl_add_rules(found, index, word);
    else if (word)
      fl_add_rule(found, index * 64 + fl_lowest_bit(word));
  }
}

/* The same for targets. Result: not 0 when the local port is one that a target serves on. */
static __always_inline int fl_collect_targets(struct fl_packet* p, struct fl_search* search,
                                              struct fl_inside* inside,
                                              struct fl_targets* targets) {
  __u64 rest = search->targets;
  int serves = 0;
  for (int i = 0; i < FL_TARGET_WORDS && rest; i++, rest &= rest - 1) {
    __u32 index = fl_lowest_bit(rest) & (FL_TARGET_WORDS - 1);
    __u64 word = fl_left_of(p, search, inside, index);
    if (!word) continue;
    targets->words |= 1ull << index;
    targets->word[index] = word;
    if (word & ~fl_tables.any_port[FL_LOCAL].word[index]) serves = 1;
  }
  return serves;
}

#endif
