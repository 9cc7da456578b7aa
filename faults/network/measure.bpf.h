/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Which packets are measured, and as whose. */
#ifndef FAULTLINE_NETWORK_MEASURE_BPF_H
#define FAULTLINE_NETWORK_MEASURE_BPF_H

#include "faults/network/turn.bpf.h"

#define FL_FIRST_EPHEMERAL_PORT 32768

/* Whether a processor's loads are seen in the order of the program: what is read after the tables'
 * generation is then not older. */
#ifdef __TARGET_ARCH_x86
#define FL_LOADS_KEEP_ORDER 1
#else
#define FL_LOADS_KEEP_ORDER 0
#endif

/* The side whose port is the system's choice is the client. */
static __always_inline __u8 fl_role_by_ports(struct fl_packet* p) {
  int local = p->local_port >= FL_FIRST_EPHEMERAL_PORT;
  int peer = p->peer_port >= FL_FIRST_EPHEMERAL_PORT;
  if (local == peer) return FL_ROLE_UNKNOWN;
  return local ? FL_ROLE_CLIENT : FL_ROLE_SERVER;
}

/* Whether it is the first packet of a TCP connection. */
static __always_inline int fl_opens(struct fl_packet* p) {
  return p->protocol == FL_PROTO_TCP && (p->tcp_flags & (FL_TCP_SYN | FL_TCP_ACK)) == FL_TCP_SYN;
}

/* Whether the connection that its packet begins is not at its own beginning: that was not seen, or
 * is forgotten, and a turn cannot be measured. */
static __always_inline int fl_is_midway(struct fl_packet* p, __u32 direction, __u8 role) {
  if (p->protocol == FL_PROTO_TCP) return !fl_opens(p);
  return role != FL_ROLE_UNKNOWN && (direction == FL_INGRESS) != (role == FL_ROLE_SERVER);
}

/* Begins the packet's connection; `serves` as of fl_found. */
__noinline int fl_begin(struct fl_packet* p, __u32 direction, __u32 serves) {
  struct fl_connection fresh = {.turn = FL_TURN_UNSURE};
  struct fl_connection_key key;
  if (!p) return 0;
  key = fl_key_of(p);
  fresh.role = serves ? FL_ROLE_SERVER : fl_role_by_ports(p);
  if (fl_opens(p)) {
    if (!serves) fresh.role = direction == FL_INGRESS ? FL_ROLE_SERVER : FL_ROLE_CLIENT;
    fresh.request_end = p->seq + 1;
    fresh.request_end_known = 1;
  }
  if (fl_opens(p) || p->protocol == FL_PROTO_UDP) fresh.turn = FL_TURN_IDLE;
  if (fresh.role == FL_ROLE_UNKNOWN) fresh.reason = FL_REASON_UNKNOWN_ROLE;
  if (fl_is_midway(p, direction, fresh.role)) __sync_fetch_and_add(&fl_tables.met_midway, 1);
  bpf_map_update_elem(&fl_connections, &key, &fresh, BPF_ANY);
  return 0;
}

/* A packet with payload of a connection that is known. Not 0: it will tell more when it goes on its
 * way. */
static __always_inline int fl_take_turn(struct __sk_buff* skb, struct fl_packet* p,
                                        struct fl_sight* sight, struct fl_connection* c,
                                        struct fl_seen* seen) {
  __u8 requests = (sight->direction == FL_INGRESS) == (c->role == FL_ROLE_SERVER);
  if (sight->direction == FL_EGRESS && sight->first && (p->tcp_flags & FL_TCP_PSH)) {
    seen->asks_rtt = c->pushed < FL_RTT_FIRST || c->pushed % FL_RTT_EVERY == 0;
    c->pushed++;
  }
  if (c->reason) {
    if (requests && !c->asking) seen->reason = c->reason;
    if (!requests && !sight->passes) return 1;
    seen->answers = !requests && c->asking;
    c->asking = requests;
  } else if (p->protocol == FL_PROTO_UDP) {
    if (requests && sight->first) fl_udp_request(skb, p, c, sight, seen);
    if (requests || sight->lost || sight->passes) {
      if (!requests) fl_udp_answer(c, sight, seen);
      return 0;
    }
    return 1;
  } else if (requests) {
    if (sight->first) fl_request(skb, p, c, sight->now_ns, seen);
  } else if (sight->passes) {
    fl_answer(p, c, sight->now_ns, seen);
  } else {
    return 1;
  }
  return 0;
}

/* Remembers whose a connection's packets of that direction are, if that is simple: none of them is
 * looked up while it is known. A cgroup is the packet's, not the connection's. */
static __always_inline void fl_remember(struct fl_found* found, __u32 asks, struct fl_sight* sight,
                                        struct fl_connection* c) {
  __u64 words = found->targets.words, word;
  __u32 index;
  if (!FL_LOADS_KEEP_ORDER || found->ruled || !sight->first || asks & FL_ASKS_CGROUP) return;
  if (words & (words - 1)) return;
  index = fl_lowest_bit(words) & (FL_TARGET_WORDS - 1);
  word = found->targets.word[index];
  if (!word || word & (word - 1)) return;
  *(volatile __u64*)&c->whose[sight->direction & 1] =
      FL_WHOSE(found->generation, index * 64 + fl_lowest_bit(word));
}

/* The target that fl_remember has noted for that direction; -1: none, or not any more. */
static __always_inline int fl_whose(struct fl_connection* c, __u32 direction) {
  __u64 whose = *(volatile __u64*)&c->whose[direction & 1];
  __u32 target = (whose & 0xffff) - 1;
  if (!whose || whose >> 16 != *(volatile __u32*)&fl_tables.generation) return -1;
  return target & (FL_MAX_TARGETS - 1);
}

/* Of fl_measure: the packet's connection must begin first. */
#define FL_UNKNOWN 2

/* Not 0: the packet will tell more when it goes on its way. `begun`: never FL_UNKNOWN. */
static __always_inline int fl_measure(struct __sk_buff* skb, struct fl_packet* p,
                                      struct fl_found* found, __u32 asks, int begun,
                                      struct fl_sight* sight, struct fl_seen* seen) {
  struct fl_connection_key key;
  struct fl_connection* c;
  if (!p->has_ports) return 0;
  if (fl_opens(p)) return sight->first && !begun ? FL_UNKNOWN : 0;
  if (!p->payload_bytes || (p->protocol == FL_PROTO_TCP && p->tcp_flags & FL_TCP_SYN)) return 0;
  key = fl_key_of(p);
  c = bpf_map_lookup_elem(&fl_connections, &key);
  if (!c) return begun ? 0 : FL_UNKNOWN;
  fl_remember(found, asks, sight, c);
  return fl_take_turn(skb, p, sight, c, seen);
}

#endif
