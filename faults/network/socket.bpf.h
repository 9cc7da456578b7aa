/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What the socket that sends a segment knows: whether it sends it again, and its round-trip time.
 */
#ifndef FAULTLINE_NETWORK_SOCKET_BPF_H
#define FAULTLINE_NETWORK_SOCKET_BPF_H

#include "faults/network/core_types.bpf.h"
#include "faults/network/tcp_events.bpf.h"

/* A TCP segment on its first way out. A socket takes new bytes into snd_nxt only after it has given
 * them to the device, so what begins before it has been sent before. That holds only here, on the
 * sender's own stack: a segment of another namespace's socket, bridged to this interface, comes
 * later. */
static __always_inline void fl_see_socket(struct __sk_buff* skb, struct fl_packet* p, __u32 netns,
                                          struct fl_seen* seen) {
  struct bpf_sock* sender = skb->sk;
  struct sock_common* common;
  struct tcp_sock* tcp;
  if (!sender) return;
  tcp = bpf_skc_to_tcp_sock(sender);
  if (!tcp) return;
  common = &((struct sock*)tcp)->__sk_common;
  if (common->skc_num != p->local_port || common->skc_net.net->ns.inum != netns) return;
  if (fl_after(tcp->snd_nxt, p->seq)) seen->retransmits = skb->gso_segs > 1 ? skb->gso_segs : 1;
  if (seen->asks_rtt) seen->rtt_us = tcp->srtt_us >> 3;
}

#endif
