/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Whose a packet or a socket is that the kernel shows outside of our own hooks. */
#ifndef FAULTLINE_NETWORK_WHOSE_BPF_H
#define FAULTLINE_NETWORK_WHOSE_BPF_H

#include "faults/network/classify.bpf.h"
#include "faults/network/connections.bpf.h"
#include "faults/network/core_types.bpf.h"

#define FL_AF_INET 2
#define FL_AF_INET6 10

/* States of TCP. */
#define FL_SYN_SENT 2
#define FL_SYN_RECV 3
#define FL_TIME_WAIT 6
#define FL_CLOSE 7
#define FL_NEW_SYN_RECV 12

/* The hook of an interface; FL_MAX_HOOKS: none. */
static __always_inline __u32 fl_find_hook(__u32 netns, __u32 ifindex) {
  struct fl_hook_key key = {.netns = netns, .ifindex = ifindex};
  __u32* hook = netns && ifindex ? bpf_map_lookup_elem(&fl_hooks, &key) : 0;
  return hook ? *hook & (FL_MAX_HOOKS - 1) : FL_MAX_HOOKS;
}

struct fl_looking {
  struct fl_connection_key key;
  __u32 ifindex;
  __u32 found;
};

/* Called by bpf_loop for each hook; not 0: enough. */
static long fl_look_at_hook(__u64 hook, struct fl_looking* looking) {
  struct fl_connection_key key = looking->key;
  if (fl_tables.hook[hook & (FL_MAX_HOOKS - 1)].ifindex != looking->ifindex) return 0;
  key.hook = hook;
  if (!bpf_map_lookup_elem(&fl_connections, &key)) return 0;
  looking->found = hook;
  return 1;
}

/* The hook that has seen the packet's connection, when its network namespace is not known any more;
 * FL_MAX_HOOKS: none. Global, as the functions below: verified once, by itself. */
__noinline __u32 fl_find_connection(struct fl_packet* p, __u32 ifindex) {
  struct fl_looking looking = {.ifindex = ifindex, .found = FL_MAX_HOOKS};
  if (!p || !ifindex) return FL_MAX_HOOKS;
  looking.key = fl_key_of(p);
  bpf_loop(FL_MAX_HOOKS, fl_look_at_hook, &looking, 0);
  return looking.found;
}

/* Older verifiers do not know how large a number is whose bytes were swapped. */
static __always_inline __u32 fl_port(__be16 port) {
  __u32 number = bpf_ntohs(port);
  asm volatile("%0 &= 0xffff" : "+r"(number));
  return number;
}

/* What the kernel keeps for a request for a connection, or for one that is over, is smaller than a
 * socket: 0. */
static __always_inline struct sock* fl_whole_socket(struct sock* sk) {
  unsigned char state = BPF_CORE_READ(sk, __sk_common.skc_state);
  return state == FL_TIME_WAIT || state == FL_NEW_SYN_RECV ? 0 : sk;
}

static __always_inline __u32 fl_netns_of(struct sock* sk) {
  return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline __u64 fl_ancestor_id(struct cgroup* group, int level) {
  struct cgroup* ancestor = 0;
  const char* ancestors = (char*)group + bpf_core_field_offset(struct cgroup, ancestors);
  if (!group || level > BPF_CORE_READ(group, level)) return 0;
  bpf_probe_read_kernel(&ancestor, sizeof(ancestor), ancestors + level * sizeof(ancestor));
  return BPF_CORE_READ(ancestor, kn, id);
}

/* The cgroups of a socket, which may be 0. */
__noinline int fl_find_owners(__u64 sk, struct fl_inside* inside) {
  struct cgroup* group;
  if (!inside || !sk || !fl_tables.cgroup_levels) return 0;
  group = BPF_CORE_READ((struct sock*)sk, sk_cgrp_data.cgroup);
  for (int level = 0; group && level < FL_CGROUP_LEVELS; level++)
    if (fl_tables.cgroup_levels >> level & 1) fl_add_cgroup(fl_ancestor_id(group, level), inside);
  return 0;
}

/* Fills the targets, none yet, of a packet. */
__noinline int fl_find_targets(struct fl_packet* p, struct fl_inside* inside, __u32 direction,
                               struct fl_targets* targets) {
  struct fl_search place, *search = &place;
  barrier_var(search);
  if (!p || !inside || !targets || !fl_begin_search(p, direction, search)) return 0;
  if (!fl_search_addresses(p, search)) return 0;
  return fl_collect_targets(p, search, inside, targets);
}

/* As its packets are; 0 for what is neither IPv4 nor IPv6. Its port as it was asked for: the other
 * place where it stands is cleared before the socket is closed. */
static __always_inline int fl_read_socket(struct sock* sk, struct fl_packet* p) {
  unsigned short family = BPF_CORE_READ(sk, __sk_common.skc_family);
  if (family == FL_AF_INET) {
    p->address[FL_LOCAL][2] = p->address[FL_PEER][2] = bpf_htonl(0xffff);
    p->address[FL_LOCAL][3] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
    p->address[FL_PEER][3] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
  } else if (family == FL_AF_INET6) {
    BPF_CORE_READ_INTO(&p->address[FL_LOCAL], sk, __sk_common.skc_v6_rcv_saddr);
    BPF_CORE_READ_INTO(&p->address[FL_PEER], sk, __sk_common.skc_v6_daddr);
  } else {
    return 0;
  }
  p->protocol = FL_PROTO_TCP;
  p->has_ports = 1;
  p->local_port = fl_port(BPF_CORE_READ((struct inet_sock*)sk, inet_sport));
  p->peer_port = fl_port(BPF_CORE_READ(sk, __sk_common.skc_dport));
  return 1;
}

#endif
