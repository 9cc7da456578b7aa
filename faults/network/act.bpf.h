/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a packet's rules do to it. */
#ifndef FAULTLINE_NETWORK_ACT_BPF_H
#define FAULTLINE_NETWORK_ACT_BPF_H

#include "faults/network/narrow.bpf.h"
#include "faults/network/protect.bpf.h"

/* Leaves the packet to whoever comes next: TCX_NEXT and TC_ACT_UNSPEC. */
#define FL_PASS (-1)
/* No interface has this index: a redirect to it loses the packet without telling the sender's TCP,
 * which TC_ACT_SHOT does on egress. */
#define FL_NOWHERE 0x7fffffff

/* A map of its own: the agent's guardian has it as well. */
struct fl_lease fl_lease SEC(".data.fl_lease");

/* Asks one rule. Returns 1 when it loses the packet; one of the lane is added to `prefix`. */
__noinline int fl_ask_rule(struct __sk_buff* skb, struct fl_lane_prefix* prefix, __u32 id,
                           int leases_hold, struct fl_packet* p) {
  __u32 place, count;
  struct fl_counters* counters = bpf_map_lookup_elem(&fl_counters, &id);
  struct fl_rule* rule;
  if (!prefix || !counters || !p) return 0;
  rule = &fl_tables.rule[id & (FL_MAX_RULES - 1)];
  if (rule->narrow.connections && !fl_is_of(id, p, prefix->t0_ns)) return 0;
  if (rule->narrow.first_bytes && !fl_begins(skb, id, p)) return 0;
  if (!fl_admits(rule, counters, p)) return 0;
  count = fl_counts_as(rule, p->count);
  if (!leases_hold || prefix->t0_ns >= rule->deadline_ns) {
    __sync_fetch_and_add(&counters->lease_expired, count);
    return 0;
  }
  if (p->shielded && !rule->exposes) {
    __sync_fetch_and_add(&counters->left_alone, count);
    return 0;
  }
  if (!fl_chooses(rule, __sync_fetch_and_add(&counters->matched, count))) return 0;
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

/* Asks every rule that the packet matched, action by action. Returns 1 when one of
 * them loses it; else the prefix lists those of the lane that take it. Global: with a stack of its
 * own. */
__noinline int fl_ask(struct __sk_buff* skb, struct fl_found* found, struct fl_packet* p) {
  __u32 candidates;
  __u64 now;
  int leases_hold;
  if (!found) return 0;
  candidates = found->prefix.rule_count;
  found->prefix.rule_count = 0;
  if (!p) return 0;
  p->shielded = fl_is_protected(p);
  now = found->prefix.t0_ns;
  leases_hold = now < *(volatile __u64*)&fl_lease.heartbeat_until_ns &&
                now < *(volatile __u64*)&fl_lease.control_until_ns;
  for (__u32 i = 0; i < FL_MAX_RULES_PER_PACKET && i < found->loses; i++)
    if (fl_ask_rule(skb, &found->prefix, found->lose[i], leases_hold, p)) return 1;
  for (__u32 i = 0; i < FL_MAX_RULES_PER_PACKET && i < candidates; i++)
    fl_ask_rule(skb, &found->prefix, found->prefix.rule[i], leases_hold, p);
  /* Without a lane it goes on its way. */
  if (!fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)].lane_ifindex) found->prefix.rule_count = 0;
  return 0;
}

#endif
