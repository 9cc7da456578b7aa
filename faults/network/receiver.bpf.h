/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The cgroup of the socket that a packet on its way in is for: the packet's own is the sender's. */
#ifndef FAULTLINE_NETWORK_RECEIVER_BPF_H
#define FAULTLINE_NETWORK_RECEIVER_BPF_H

#include "faults/network/core_types.bpf.h"
#include "faults/network/found.bpf.h"

/* The packet's socket is looked up by this; returns its size. */
static __always_inline __u32 fl_tuple_of(struct fl_packet* p, struct bpf_sock_tuple* tuple) {
  __u32 *from = p->address[FL_PEER], *to = p->address[FL_LOCAL];
  if (fl_is_ipv4(from)) {
    tuple->ipv4.saddr = from[3];
    tuple->ipv4.daddr = to[3];
    tuple->ipv4.sport = bpf_htons(p->peer_port);
    tuple->ipv4.dport = bpf_htons(p->local_port);
    return sizeof(tuple->ipv4);
  }
  __builtin_memcpy(tuple->ipv6.saddr, from, sizeof(tuple->ipv6.saddr));
  __builtin_memcpy(tuple->ipv6.daddr, to, sizeof(tuple->ipv6.daddr));
  tuple->ipv6.sport = bpf_htons(p->peer_port);
  tuple->ipv6.dport = bpf_htons(p->local_port);
  return sizeof(tuple->ipv6);
}

/* 0 when it has none. The socket is the kernel's own: read as a number, its address is one that
 * bpf_probe_read_kernel takes, as no cast before Linux 6.2 gives it for UDP. */
static __always_inline struct cgroup* fl_cgroup_of(struct bpf_sock* found) {
  struct cgroup* own = 0;
  struct sock* sock = 0;
  bpf_probe_read_kernel(&sock, sizeof(sock), &found);
  if (sock) bpf_core_read(&own, sizeof(own), &sock->sk_cgrp_data.cgroup);
  return own;
}

/* Of the socket that the kernel would deliver the packet to. */
static __always_inline struct cgroup* fl_receiver_cgroup(struct __sk_buff* skb,
                                                         struct fl_packet* p) {
  struct bpf_sock_tuple tuple = {};
  struct bpf_sock* found;
  struct cgroup* own;
  if (!p->has_ports) return 0;
  found = p->protocol == FL_PROTO_TCP
              ? bpf_sk_lookup_tcp(skb, &tuple, fl_tuple_of(p, &tuple), BPF_F_CURRENT_NETNS, 0)
              : bpf_sk_lookup_udp(skb, &tuple, fl_tuple_of(p, &tuple), BPF_F_CURRENT_NETNS, 0);
  if (!found) return 0;
  own = fl_cgroup_of(found);
  bpf_sk_release(found);
  return own;
}

/* Finds the cgroups that a packet's receiver is in. Of rules: what a target sends is all that is
 * measured by cgroup. Global: verified once, by itself, and with a stack of its own, of which older
 * kernels give the programs little. */
__noinline int fl_find_receivers(struct __sk_buff* skb, struct fl_packet* p,
                                 struct fl_inside* inside) {
  __u32 depth;
  struct cgroup* own;
  if (!p || !inside) return 0;
  inside->of_rules = 1;
  own = fl_receiver_cgroup(skb, p);
  depth = own ? BPF_CORE_READ(own, level) : 0;
  for (__u32 level = 0; own && level < FL_CGROUP_LEVELS && level <= depth; level++) {
    struct cgroup* ancestor = 0;
    if (!(fl_tables.cgroup_levels >> level & 1)) continue;
    if (bpf_core_read(&ancestor, sizeof(ancestor), &own->ancestors[level])) continue;
    fl_add_cgroup(BPF_CORE_READ(ancestor, kn, id), inside);
  }
  return 0;
}

#endif
