/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What is read of the kernel's own structures: only these fields, wherever this kernel has them
 * (CO-RE). */
#ifndef FAULTLINE_NETWORK_CORE_TYPES_BPF_H
#define FAULTLINE_NETWORK_CORE_TYPES_BPF_H

#include <bpf/bpf_core_read.h>
#include <linux/in6.h>
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
  unsigned int inum;
};

struct net {
  struct ns_common ns;
};

typedef struct {
  struct net* net;
} possible_net_t;

struct sock_common {
  __be32 skc_daddr;
  __be32 skc_rcv_saddr;
  __be16 skc_dport;
  __u16 skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  possible_net_t skc_net;
  struct in6_addr skc_v6_daddr;
  struct in6_addr skc_v6_rcv_saddr;
};

struct kernfs_node {
  __u64 id;
};

struct cgroup {
  int level;
  struct kernfs_node* kn;
  struct cgroup* ancestors[];
};

struct sock_cgroup_data {
  struct cgroup* cgroup;
};

struct dst_entry;

struct sock {
  struct sock_common __sk_common;
  int sk_err;
  __u16 sk_protocol;
  struct dst_entry* sk_dst_cache;
  struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
  __be16 inet_sport;
};

struct tcp_sock {
  __u32 snd_nxt;
  __u32 srtt_us; /* eight times the smoothed round-trip time */
};

struct net_device {
  int ifindex;
  possible_net_t nd_net;
};

struct dst_entry {
  struct net_device* dev;
};

struct sk_buff {
  struct net_device* dev;
  struct sock* sk;
  int skb_iif;
  unsigned char* head;
  __be16 protocol;
  __u16 network_header;
  unsigned long _skb_refdst;
  char cb[48];
};

struct qdisc_skb_cb {
  unsigned char data[20];
};

#pragma clang attribute pop

#endif
