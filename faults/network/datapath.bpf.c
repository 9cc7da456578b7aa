/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The network datapath: one program per direction for the interfaces of targets, one on the lane.
 * What is attached at an interface (Kernel::LoadEntry) goes on in the one of its direction.
 * Attached by TCX or as a clsact filter in direct-action mode: the verdicts mean the same. */
#include <linux/if_packet.h>

#include "faults/network/lane.bpf.h"
#include "faults/network/parse.bpf.h"
#include "faults/network/protect.bpf.h"
#include "faults/network/see.bpf.h"

/* Set before loading: what marks our own reinjected packets. */
const volatile __u64 fl_magic = 0;

/* Bound to hook and direction: a packet of ours that reaches another target of this host on a veth
 * pair is an ordinary packet there. */
static __always_inline __u64 fl_mark(__u32 hook, __u32 direction) {
  return fl_magic + FL_RETURN_TAG(hook, direction);
}

static __always_inline int fl_reinjected(struct __sk_buff* skb, __u32 hook, __u32 direction) {
  __u64 mark = fl_mark(hook, direction);
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

/* The mark tells the program on drops that it is no drop of the kernel's. */
static __always_inline int fl_lose(struct __sk_buff* skb) {
  skb->cb[0] = (__u32)fl_magic;
  skb->cb[1] = (__u32)(fl_magic >> 32);
  return bpf_redirect(FL_NOWHERE, 0);
}

/* Measures a packet of targets at that hook. A request counts from its first sight, whatever its
 * rules do to it; an answer counts when it goes on its way. Global: verified once, by itself, and
 * with a stack of its own. */
__noinline int fl_observe(struct __sk_buff* skb, struct fl_packet* p, struct fl_found* found,
                          __u32 hook, __u32 way) {
  struct fl_turn turn = {};
  struct fl_sight sight = {.hook = hook, .direction = way & 1, .first = !(way & FL_AGAIN)};
  __u32 zero = 0;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  if (!t || !p || !found) return 0;
  sight.now_ns = found->prefix.t0_ns;
  sight.netns = t->hook[hook & (FL_MAX_HOOKS - 1)].netns;
  sight.serves = found->serves;
  sight.passes = !found->lost && !found->prefix.rule_count;
  fl_measure(skb, p, &sight, &turn);
  fl_count(&found->targets, sight.first ? skb->len : 0, &turn);
  return fl_see(skb, p, &sight, &turn, &found->targets);
}

static __always_inline int fl_handle(struct __sk_buff* skb, __u32 direction) {
  struct fl_packet p = {};
  struct fl_found found = {};
  __u32 zero = 0, hook_id = skb->cb[FL_HOOK_CB] & (FL_MAX_HOOKS - 1), way = direction;
  struct fl_tables* t = bpf_map_lookup_elem(&fl_tables, &zero);
  struct fl_hook* hook;
  skb->cb[FL_HOOK_CB] = 0;
  if (!t) return FL_PASS;
  hook = &t->hook[hook_id];
  if (!hook->bits[direction].rules && !hook->bits[direction].targets) return FL_PASS;
  if (fl_reinjected(skb, hook_id, direction)) way |= FL_AGAIN;
  if (fl_read(skb, direction, &p)) return FL_PASS;
  fl_classify(skb, &p, &found, hook_id, way);
  if (!found.targets.words && !found.loses && !found.prefix.rule_count) return FL_PASS;
  found.prefix.t0_ns = bpf_ktime_get_boot_ns();
  if (!(way & FL_AGAIN) && (found.loses || found.prefix.rule_count)) {
    p.shielded = fl_is_protected(hook_id, &p);
    found.lost = fl_ask(skb, &found, &p);
  }
  if ((way & FL_AGAIN) || !hook->lane_ifindex) found.prefix.rule_count = 0;
  if (found.targets.words) fl_observe(skb, &p, &found, hook_id, way);
  if (found.lost) return fl_lose(skb);
  if (!found.prefix.rule_count) return FL_PASS;
  found.prefix.hook = hook_id;
  found.prefix.direction = direction;
  found.prefix.flow = fl_flow_hash(&p);
  return fl_to_lane(skb, hook->lane_ifindex, &found.prefix, p.count);
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
