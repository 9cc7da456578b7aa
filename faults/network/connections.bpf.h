/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The connections that are measured, by the hook that they are seen at. */
#ifndef FAULTLINE_NETWORK_CONNECTIONS_BPF_H
#define FAULTLINE_NETWORK_CONNECTIONS_BPF_H

#include "faults/network/packet.bpf.h"

/* A connection that is measured. With a value of 40 bytes an element of the kernel's hash table is
 * two cache lines, of which one is written. */
struct fl_connection_key {
  __u32 address[2][4]; /* by side, network order; IPv4 as ::ffff:a.b.c.d */
  __u16 local_port;
  __u16 peer_port;
  __u8 protocol;
  __u8 reserved;
  __u16 hook;
} __attribute__((aligned(8)));

#define FL_ROLE_UNKNOWN 0
#define FL_ROLE_SERVER 1
#define FL_ROLE_CLIENT 2

/* What the next payload means. */
#define FL_TURN_UNSURE 0  /* the beginning was not seen: wait for an answer's payload first */
#define FL_TURN_IDLE 1    /* no request outstanding */
#define FL_TURN_WAITING 2 /* a request is outstanding, none of its answer was seen */

struct fl_connection {
  __u64 request_ns; /* when the outstanding request was first seen */
  union {
    __u32 request_end; /* TCP: sequence number after the newest request payload */
    __u32 outstanding; /* UDP: requests without an answer, so far as is known */
  };
  __u32 answer_end; /* TCP: the same for answers */
  /* By direction, FL_WHOSE: the one target that its packets belong to, and to no rule; 0: not so,
   * or not known. True as long as fl_tables::generation is that. */
  __u64 whose[2];
  __u8 role;
  __u8 turn;
  __u8 reason;         /* not 0: not measurable */
  __u8 request_pushed; /* the newest request segment carried PSH */
  __u8 request_end_known;
  __u8 answer_end_known;
  __u8 started : 1; /* the first request was looked at */
  __u8 asking : 1;  /* not measurable connections: the newest payload was a request */
  __u8 http1 : 1;   /* TCP: the first request was one of HTTP/1's */
  __u8 chatty : 1;  /* UDP: there were answers to no request */
  __u8 pushed;      /* segments that the target has pushed out, modulo 256 */
};
/* What UDP has not answered for so long is lost: no delay of ours is longer. */
#define FL_UDP_LOST_NS 60000000000ull
#define FL_WHOSE(generation, target) ((__u64)(generation) << 16 | ((target) + 1))

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, FL_MAX_CONNECTIONS);
  __type(key, struct fl_connection_key);
  __type(value, struct fl_connection);
} fl_connections SEC(".maps");

/* Of a packet with ports. On the stack: older verifiers want keys there. */
static __always_inline struct fl_connection_key fl_key_of(struct fl_packet* p) {
  _Static_assert(__builtin_offsetof(struct fl_packet, hook) ==
                     __builtin_offsetof(struct fl_connection_key, hook),
                 "a packet begins with its connection's key");
  return *(struct fl_connection_key*)p;
}

#endif
