/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a packet's rules do to it. */
#ifndef FAULTLINE_NETWORK_ACT_BPF_H
#define FAULTLINE_NETWORK_ACT_BPF_H

#include "faults/network/narrow.bpf.h"

/* Leaves the packet to whoever comes next: TCX_NEXT and TC_ACT_UNSPEC. */
#define FL_PASS (-1)
/* No interface has this index: a redirect to it loses the packet without telling the sender's TCP,
 * which TC_ACT_SHOT does on egress. */
#define FL_NOWHERE 0x7fffffff

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_lease);
} fl_lease SEC(".maps");

static const __u8 fl_bit_positions[64] = {
    0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
    22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
    23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12};

/* Position of the lowest bit of a word that is not 0, by de Bruijn's sequence: without branches, of
 * which the verifier would follow each. */
static __always_inline __u32 fl_lowest_bit(__u64 word) {
  __u64 place = ((word & -word) * 0x022fdd63cc95386dull) >> 58;
  __u32 bit;
  /* Hidden from the compiler, which would drop the masks that the verifier wants to see. */
  asm volatile("" : "+r"(place));
  bit = fl_bit_positions[place & 63];
  asm volatile("" : "+r"(bit));
  return bit & 63;
}

/* Takes the lowest rule out of `set`; FL_MAX_RULES when there is none. Global, as the functions
 * below: verified once, by itself. */
__noinline __u32 fl_take_rule(struct fl_bits* set) {
  if (!set) return FL_MAX_RULES;
  for (__u32 i = 0; i < FL_RULE_WORDS; i++) {
    __u64 word = set->word[i];
    if (!word) continue;
    set->word[i] = word & (word - 1);
    return i * 64 + fl_lowest_bit(word);
  }
  return FL_MAX_RULES;
}

/* Whether the rule may touch what is protected. */
static __always_inline int fl_exposes(struct fl_tables* t, __u32 id) {
  return t->exposing.word[(id >> 6) & (FL_RULE_WORDS - 1)] >> (id & 63) & 1;
}

/* Asks one rule. Returns 1 when it loses the packet; one of the lane is added to `prefix`. */
__noinline int fl_ask_rule(struct fl_lane_prefix* prefix, __u32 id, int leases_hold,
                           struct fl_packet* p) {
  __u32 zero = 0, place, count;
  struct fl_counters* counters = bpf_map_lookup_elem(&fl_counters, &id);
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  struct fl_rule* rule;
  if (!prefix || !counters || !t || !p || !fl_admits(id, p)) return 0;
  rule = &t->rule[id & (FL_MAX_RULES - 1)];
  count = p->count;
  if (!leases_hold || prefix->t0_ns >= rule->deadline_ns) {
    __sync_fetch_and_add(&counters->lease_expired, count);
    return 0;
  }
  if (p->shielded && !fl_exposes(t, id)) {
    __sync_fetch_and_add(&counters->left_alone, count);
    return 0;
  }
  if (!fl_chooses(rule, __sync_fetch_and_add(&counters->matched, count), count)) return 0;
  if (rule->action == FL_ACT_LOSE) {
    __sync_fetch_and_add(&counters->acted, count);
    return 1;
  }
  place = prefix->rule_count;
  if (place < FL_MAX_RULES_PER_PACKET) {
    prefix->rule[place & (FL_MAX_RULES_PER_PACKET - 1)] = id;
    prefix->rule_count = place + 1;
  }
  return 0;
}

/* Asks those of `rules` that have this action. Returns 1 when one of them loses the packet. */
__noinline int fl_ask_action(struct fl_bits* rules, __u32 action, struct fl_lane_prefix* prefix,
                             int leases_hold, struct fl_packet* p) {
  struct fl_bits mine = {};
  __u32 zero = 0;
  __u64 found = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  if (!t || !rules || !prefix || !p || action >= FL_ACTS) return 0;
  for (int i = 0; i < FL_RULE_WORDS; i++) {
    mine.word[i] = rules->word[i] & t->by_action[action].word[i];
    found |= mine.word[i];
  }
  for (int i = 0; found && i < FL_MAX_RULES_PER_PACKET; i++) {
    __u32 id = fl_take_rule(&mine);
    if (id >= FL_MAX_RULES) break;
    if (fl_ask_rule(prefix, id, leases_hold, p)) return 1;
  }
  return 0;
}

/* Asks every rule that the packet matched, action by action. Returns 1 when one of them loses it;
 * else those of the lane are listed in `prefix`. */
static __always_inline int fl_ask(struct fl_bits* rules, struct fl_packet* p,
                                  struct fl_lane_prefix* prefix) {
  __u32 zero = 0;
  __u64 now = prefix->t0_ns;
  struct fl_lease* lease = bpf_map_lookup_elem(&fl_lease, &zero);
  int leases_hold = lease && now < *(volatile __u64*)&lease->heartbeat_until_ns &&
                    now < *(volatile __u64*)&lease->control_until_ns;
  for (__u32 action = 0; action < FL_ACTS; action++)
    if (fl_ask_action(rules, action, prefix, leases_hold, p)) return 1;
  return 0;
}

#endif
