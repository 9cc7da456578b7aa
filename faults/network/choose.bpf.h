/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Which of its packets a rule acts on. */
#ifndef FAULTLINE_NETWORK_CHOOSE_BPF_H
#define FAULTLINE_NETWORK_CHOOSE_BPF_H

#include <linux/types.h>

#include "faults/network/datapath.h"

/* splitmix64: the n-th packet of a rule has the same fate in every run with the same seed. */
static __always_inline __u64 fl_mix(__u64 x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/* As how many packets a train of `count` counts to the rule. What is lost is lost whole, before any
 * lane could cut it. */
static __always_inline __u32 fl_counts_as(struct fl_rule* rule, __u32 count) {
  return rule->action == FL_ACT_LOSE ? 1 : count;
}

/* Whether the rule acts on its packet number `turn`, from 0. Packets of one rule that pass on
 * several CPUs at once may take the rule's state from each other: the shares stay, not which. */
static __always_inline int fl_chooses(struct fl_rule* rule, __u64 turn) {
  struct fl_choice* choice = &rule->choice;
  __u64 drawn = fl_mix(rule->choice_seed ^ fl_mix(turn)), bad = choice->in_bad;
  if (choice->every) return (turn + 1) % choice->every == 0;
  if (drawn >> 32 < (bad ? choice->to_good_of_2_32 : choice->to_bad_of_2_32)) {
    bad = !bad;
    choice->in_bad = bad;
  }
  return (__u32)drawn < (bad ? choice->bad_chance_of_2_32 : choice->chance_of_2_32);
}

#endif
