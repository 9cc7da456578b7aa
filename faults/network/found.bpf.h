/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From vectors to the rules and targets that a packet belongs to. */
#ifndef FAULTLINE_NETWORK_FOUND_BPF_H
#define FAULTLINE_NETWORK_FOUND_BPF_H

#include "faults/network/packet.bpf.h"
#include "faults/network/stats.bpf.h"
#include "faults/network/table_maps.bpf.h"

/* What a packet belongs to. Of rules no more than a packet obeys, those of the lowest numbers. */
struct fl_found {
  struct fl_targets targets;
  struct fl_lane_prefix prefix; /* its rules are those of the lane */
  __u16 lose[FL_MAX_RULES_PER_PACKET];
  __u8 loses;  /* how many these are */
  __u8 serves; /* the local port is one that a target serves on */
  __u8 lost;   /* the caller's */
};

#define FL_OF_LOCAL_PORT 0
#define FL_OF_PEER_PORT 1
#define FL_OF_LOCAL_NET 2
#define FL_OF_PEER_NET 3
#define FL_OF_EXCLUDED 4
#define FL_OF_ALL 5

/* A packet that is being classified: the words in which every vector so far has something, and the
 * vectors. Numbers, not pointers: the functions below are verified each by itself. */
struct fl_search {
  __u64 rules;
  __u64 targets;
  __u16 set[FL_OF_ALL];
  __u16 cgroup[FL_CGROUP_LEVELS]; /* the packet's, as far as filters name them */
  __u16 hook;
  __u8 cgroups;          /* how many there are */
  __u8 cgroups_of_rules; /* not 0: targets are not told by them */
  __u8 direction;
};

/* Adds the targets of a word, of those of targets. Global, as the functions below: verified once,
 * by itself. */
__noinline int fl_add_targets(struct fl_found* found, __u32 index, __u64 word) {
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  if (!t || !found || index >= FL_TARGET_WORDS) return 0;
  found->targets.words |= 1ull << index;
  found->targets.word[index] = word;
  if (word & ~t->any_port[FL_LOCAL].word[FL_RULE_WORDS + index]) found->serves = 1;
  return 0;
}

/* Adds the rules of a word. */
__noinline int fl_add_rules(struct fl_found* found, __u32 index, __u64 word) {
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  if (!t || !found || index >= FL_RULE_WORDS) return 0;
  for (int i = 0; i < 64 && word; i++) {
    __u32 id = index * 64 + fl_lowest_bit(word), place;
    word &= word - 1;
    /* Hidden from the compiler, which would drop the mask: older verifiers need it. */
    asm volatile("" : "+r"(id));
    id &= FL_MAX_RULES - 1;
    if (t->rule[id].action == FL_ACT_LOSE) {
      place = found->loses;
      if (place >= FL_MAX_RULES_PER_PACKET) continue;
      found->lose[place & (FL_MAX_RULES_PER_PACKET - 1)] = id;
      found->loses = place + 1;
    } else {
      place = found->prefix.rule_count;
      if (place >= FL_MAX_RULES_PER_PACKET) continue;
      found->prefix.rule[place & (FL_MAX_RULES_PER_PACKET - 1)] = id;
      found->prefix.rule_count = place + 1;
    }
  }
  return 0;
}

/* The packet is in that cgroup. */
static __always_inline void fl_add_cgroup(__u64 id, struct fl_search* search) {
  __u32* set = id ? bpf_map_lookup_elem(&fl_cgroups, &id) : 0;
  __u32 place = search->cgroups;
  if (!set || place >= FL_CGROUP_LEVELS) return;
  search->cgroup[place & (FL_CGROUP_LEVELS - 1)] = *set;
  search->cgroups = place + 1;
}

/* A word of the vector of that number. */
static __always_inline __u64 fl_word_of(__u32 number, __u32 index) {
  struct fl_bits* set = number ? fl_set(number) : 0;
  return set ? set->word[index] : 0;
}

/* Those of a word that name one of the packet's cgroups. */
static __always_inline __u64 fl_inside(struct fl_search* search, __u32 index) {
  __u64 inside = 0;
  if (search->cgroups_of_rules && index >= FL_RULE_WORDS) return 0;
  for (__u32 i = 0; i < FL_CGROUP_LEVELS && i < search->cgroups; i++)
    inside |= fl_word_of(search->cgroup[i], index);
  return inside;
}

/* What is left of one word when all vectors have been asked. */
__noinline __u64 fl_left_of(struct fl_search* search, struct fl_packet* p, __u32 index) {
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  __u64 word, elsewhere;
  if (!t || !search || !p || index >= FL_WORDS) return 0;
  word = t->hook[search->hook & (FL_MAX_HOOKS - 1)].bits[search->direction & 1].word[index];
  word &= t->protocol[p->protocol & (FL_PROTOS - 1)].word[index];
  word &= t->any_port[FL_LOCAL].word[index] | fl_word_of(search->set[FL_OF_LOCAL_PORT], index);
  word &= t->any_port[FL_PEER].word[index] | fl_word_of(search->set[FL_OF_PEER_PORT], index);
  word &= t->any_address[FL_LOCAL].word[index] | fl_word_of(search->set[FL_OF_LOCAL_NET], index);
  word &= t->any_address[FL_PEER].word[index] | fl_word_of(search->set[FL_OF_PEER_NET], index);
  word &= ~fl_word_of(search->set[FL_OF_EXCLUDED], index);
  elsewhere = word & ~t->any_cgroup.word[index];
  return elsewhere ? word & (~elsewhere | fl_inside(search, index)) : word;
}

/* Looks at the words that all vectors name. */
static __always_inline void fl_collect(struct fl_search* search, struct fl_packet* p,
                                       struct fl_found* found) {
  __u64 rules = search->rules, targets = search->targets;
  for (int i = 0; i < FL_RULE_WORDS && rules; i++, rules &= rules - 1) {
    __u32 index = fl_lowest_bit(rules);
    __u64 word = fl_left_of(search, p, index);
    if (word) fl_add_rules(found, index, word);
  }
  for (int i = 0; i < FL_TARGET_WORDS && targets; i++, targets &= targets - 1) {
    __u32 index = fl_lowest_bit(targets) & (FL_TARGET_WORDS - 1);
    __u64 word = fl_left_of(search, p, FL_RULE_WORDS + index);
    if (word) fl_add_targets(found, index, word);
  }
}

#endif
