/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* How our programs know packets that are or were in our hands. */
#ifndef FAULTLINE_NETWORK_MARK_BPF_H
#define FAULTLINE_NETWORK_MARK_BPF_H

#include "faults/network/act.bpf.h"

/* Set before loading: what marks our own reinjected packets. */
const volatile __u64 fl_magic = 0;

/* Of a mark: the packet has told all that is to be known of it. */
#define FL_TOLD (1ull << 16)

/* Bound to hook and direction: a packet of ours that reaches another target of this host on a veth
 * pair is an ordinary packet there. */
static __always_inline __u64 fl_mark(__u32 hook, __u32 direction) {
  return fl_magic + FL_RETURN_TAG(hook, direction);
}

/* 0: not ours; 2: with FL_TOLD; else 1. */
static __always_inline int fl_reinjected(struct __sk_buff* skb, __u32 hook, __u32 direction) {
  __u64 over = ((__u64)skb->cb[1] << 32 | skb->cb[0]) - fl_mark(hook, direction);
  if (over & ~FL_TOLD) return 0;
  skb->cb[0] = 0;
  skb->cb[1] = 0;
  return over ? 2 : 1;
}

/* The mark tells the program on drops that it is no drop of the kernel's. */
static __always_inline int fl_lose(struct __sk_buff* skb) {
  skb->cb[0] = (__u32)fl_magic;
  skb->cb[1] = (__u32)(fl_magic >> 32);
  return bpf_redirect(FL_NOWHERE, 0);
}

/* From a lane's device back to the hook, on its way in that direction; `told` is FL_TOLD or 0. */
static __always_inline int fl_put_back(struct __sk_buff* skb, __u32 hook_id, __u32 direction,
                                       __u64 told) {
  __u64 mark = fl_mark(hook_id, direction) + told;
  struct fl_hook* hook = &fl_tables.hook[hook_id & (FL_MAX_HOOKS - 1)];
  __u32 ifindex = hook->ifindex;
  if (!ifindex) return bpf_redirect(FL_NOWHERE, 0);
  skb->cb[0] = (__u32)mark;
  skb->cb[1] = (__u32)(mark >> 32);
  if (direction != hook->outside) return bpf_redirect(ifindex, BPF_F_INGRESS);
  /* A lane's frames are for "another host"; the loopback device would deliver them as such: never.
   */
  bpf_skb_change_type(skb, PACKET_HOST);
  return bpf_redirect(ifindex, 0);
}

#endif
