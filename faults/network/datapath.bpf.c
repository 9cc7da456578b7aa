/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The network datapath: one program per direction on a target's interface, one on the lane.
 * Attached by TCX or as a clsact filter in direct-action mode: the verdicts mean the same. */
#include <linux/if_packet.h>

#include "faults/network/lane.bpf.h"
#include "faults/network/parse.bpf.h"
#include "faults/network/protect.bpf.h"
#include "faults/network/see.bpf.h"

/* Set before loading: which hook this copy serves, and what marks our own reinjected packets. */
const volatile __u32 fl_hook_id = 0;
const volatile __u64 fl_magic = 0;

/* Bound to hook and direction: a packet of ours that reaches another target of this host on a veth
 * pair is an ordinary packet there. */
static __always_inline __u64 fl_mark(__u32 hook, __u32 direction) {
  return fl_magic + FL_RETURN_TAG(hook, direction);
}

static __always_inline int fl_reinjected(struct __sk_buff* skb, __u32 direction) {
  __u64 mark = fl_mark(fl_hook_id, direction);
  if (skb->cb[0] != (__u32)mark || skb->cb[1] != (__u32)(mark >> 32)) return 0;
  skb->cb[0] = 0;
  skb->cb[1] = 0;
  return 1;
}

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

/* The mark tells the program on drops that it is no drop of the kernel's. */
static __always_inline int fl_lose(struct __sk_buff* skb) {
  skb->cb[0] = (__u32)fl_magic;
  skb->cb[1] = (__u32)(fl_magic >> 32);
  return bpf_redirect(FL_NOWHERE, 0);
}

static __always_inline int fl_handle(struct __sk_buff* skb, __u32 direction) {
  struct fl_packet p = {};
  struct fl_bits set;
  struct fl_turn turn = {};
  struct fl_lane_prefix prefix = {.hook = fl_hook_id, .direction = direction};
  __u32 zero = 0, hook_id = fl_hook_id & (FL_MAX_HOOKS - 1), bytes = skb->len;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  struct fl_hook* hook;
  int again, lost = 0;
  __u64 targets;
  if (!t) return FL_PASS;
  hook = &t->hook[hook_id];
  if (!hook->words[direction]) return FL_PASS;
  again = fl_reinjected(skb, direction);
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
    fl_measure(skb, &p, &sight, &turn);
    fl_count(targets, again ? 0 : bytes, &turn);
    fl_see(skb, &p, &sight, &turn, targets);
  }
  if (lost) return fl_lose(skb);
  if (!prefix.rule_count) return FL_PASS;
  prefix.flow = fl_flow_hash(&p);
  return fl_to_lane(skb, hook->lane_ifindex, &prefix, p.count);
}

SEC("tc")
int fl_egress(struct __sk_buff* skb) { return fl_handle(skb, FL_EGRESS); }

SEC("tc")
int fl_ingress(struct __sk_buff* skb) { return fl_handle(skb, FL_INGRESS); }

/* On the lane's ingress: back to where the frame belongs; nothing else may come out of a lane. */
SEC("tc")
int fl_lane(struct __sk_buff* skb) {
  __u32 zero = 0, hook_id, direction, ifindex;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  __u64 mark;
  if (!t || !skb->vlan_present || skb->vlan_proto != bpf_htons(FL_RETURN_ETHERTYPE))
    return bpf_redirect(FL_NOWHERE, 0);
  hook_id = ((skb->vlan_tci - 1) >> 1) & (FL_MAX_HOOKS - 1);
  direction = (skb->vlan_tci - 1) & 1;
  ifindex = t->hook[hook_id].ifindex;
  if (!ifindex || bpf_skb_vlan_pop(skb)) return bpf_redirect(FL_NOWHERE, 0);
  mark = fl_mark(hook_id, direction);
  skb->cb[0] = (__u32)mark;
  skb->cb[1] = (__u32)(mark >> 32);
  if (direction == FL_INGRESS) return bpf_redirect(ifindex, BPF_F_INGRESS);
  /* A lane's frames are for "another host"; the loopback device would deliver them as such: never.
   */
  bpf_skb_change_type(skb, PACKET_HOST);
  return bpf_redirect(ifindex, 0);
}

char fl_license[] SEC("license") = "Dual BSD/GPL";
