/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The network datapath: one program per direction on a target's interface, others on the lanes.
 * Attached by TCX or as a clsact filter in direct-action mode: the verdicts mean the same. */
#include <linux/if_packet.h>

#include "faults/network/fq.bpf.h"
#include "faults/network/lane.bpf.h"
#include "faults/network/parse.bpf.h"
#include "faults/network/protect.bpf.h"
#include "faults/network/see.bpf.h"

/* Fills `p`; not 0 for what no filter can match. */
static __always_inline int fl_read(struct __sk_buff* skb, __u32 direction, struct fl_packet* p) {
  __u32 want = skb->len < FL_HEADER_BYTES ? skb->len : FL_HEADER_BYTES;
  int result = fl_parse(skb, direction, p);
  if (result != FL_CUT_SHORT) return result;
  if (bpf_skb_pull_data(skb, want)) return -1;
  __builtin_memset(p, 0, sizeof(*p));
  return fl_parse(skb, direction, p);
}

/* Finds out what the rules in `set` want to know beside the packet's classes. */
static __always_inline void fl_inspect(struct __sk_buff* skb, struct fl_tables* t, __u32 hook_id,
                                       struct fl_packet* p, struct fl_bits* set) {
  __u64 rules = 0, looking = 0;
  for (int i = 0; i < FL_RULE_WORDS; i++) {
    rules |= set->word[i];
    looking |= set->word[i] & t->looking_inside.word[i];
  }
  if (!rules) return;
  p->shielded = fl_is_protected(hook_id, p);
  if (looking) fl_look_inside(skb, p);
}

static __always_inline int fl_handle(struct __sk_buff* skb, __u32 direction) {
  struct fl_packet p = {};
  struct fl_bits set;
  struct fl_turn turn = {};
  struct fl_lane_prefix prefix = {.hook = fl_hook_id, .direction = direction};
  __u32 zero = 0, hook_id = fl_hook_id & (FL_MAX_HOOKS - 1), bytes = skb->len;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  struct fl_hook* hook;
  int again, lost = 0, tells = 0;
  __u64 targets, hold_ns;
  if (!t) return FL_PASS;
  hook = &t->hook[hook_id];
  if (!hook->words[direction]) return FL_PASS;
  again = fl_reinjected(skb, direction);
  if (again > 1) return FL_PASS;
  if (fl_read(skb, direction, &p)) return FL_PASS;
  if (!fl_classify(skb, t, hook, direction, &p, !again, &set)) return FL_PASS;
  prefix.t0_ns = bpf_ktime_get_boot_ns();
  targets = set.word[FL_TARGET_WORD];
  p.count = t->lane_cuts && skb->gso_segs ? skb->gso_segs : 1;
  if (!again) {
    fl_inspect(skb, t, hook_id, &p, &set);
    lost = fl_ask(&set, &p, &prefix);
  }
  if (!hook->lane_ifindex) prefix.rule_count = 0;
  /* A request counts from its first sight, whatever its rules do to it; an answer counts when it
   * goes on its way. */
  if (targets) {
    struct fl_sight sight = {
        .now_ns = prefix.t0_ns,
        .netns = hook->netns,
        .hook = hook_id,
        .direction = direction,
        .serves = (targets & ~t->any_port[FL_LOCAL].word[FL_TARGET_WORD]) != 0,
        .first = !again,
        .passes = !lost && !prefix.rule_count,
    };
    tells = fl_measure(skb, &p, &sight, &turn) || p.tcp_flags & (FL_TCP_SYN | FL_TCP_RST);
    fl_count(targets, again ? 0 : bytes, &turn);
    fl_see(skb, &p, &sight, &turn, targets);
  }
  if (lost) return fl_lose(skb);
  if (!prefix.rule_count) return FL_PASS;
  prefix.flow = fl_flow_hash(&p);
  hold_ns = hook->fq_ifindex ? fl_hold_ns(t, &prefix) : 0;
  if (hold_ns) {
    __u32 flags = (tells ? 0 : FL_FQ_TOLD) | (p.count > 1 ? FL_FQ_TRAIN : 0);
    return fl_to_fq(skb, &prefix, hold_ns, p.count, flags);
  }
  return fl_to_lane(skb, hook->lane_ifindex, &prefix, p.count);
}

SEC("tc")
int fl_egress(struct __sk_buff* skb) { return fl_handle(skb, FL_EGRESS); }

SEC("tc")
int fl_ingress(struct __sk_buff* skb) { return fl_handle(skb, FL_INGRESS); }

/* On the TAP lane's ingress: back to where the frame belongs; nothing else may come out of a lane.
 */
SEC("tc")
int fl_lane(struct __sk_buff* skb) {
  __u32 zero = 0, place;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  if (!t || !skb->vlan_present || skb->vlan_proto != bpf_htons(FL_RETURN_ETHERTYPE))
    return bpf_redirect(FL_NOWHERE, 0);
  place = skb->vlan_tci - 1;
  if (bpf_skb_vlan_pop(skb)) return bpf_redirect(FL_NOWHERE, 0);
  return fl_put_back(skb, t, place >> 1 & (FL_MAX_HOOKS - 1), place & 1, 0);
}

/* On the fq lane's way in: only what our programs sent. */
SEC("tc")
int fl_fq_in(struct __sk_buff* skb) {
  return skb->cb[3] == (__u32)fl_magic ? FL_PASS : fl_lose(skb);
}

SEC("tc")
int fl_fq_out(struct __sk_buff* skb) { return fl_from_fq(skb); }

char fl_license[] SEC("license") = "Dual BSD/GPL";
