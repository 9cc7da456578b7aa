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

/* Whether the rule acts on its packet number `turn`, from 0. */
static __always_inline int fl_chooses(struct fl_rule* rule, __u64 turn) {
  return (__u32)fl_mix(rule->seed ^ fl_mix(turn)) < rule->choice.chance_of_2_32;
}

#endif
