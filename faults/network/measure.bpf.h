/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Request-to-response time, paired per connection by the turn of direction of payload, on the side
 * of whoever waits. The rules, and why they are sound, stand in README.md. */
#ifndef FAULTLINE_NETWORK_MEASURE_BPF_H
#define FAULTLINE_NETWORK_MEASURE_BPF_H

#include "faults/network/classify.bpf.h"
#include "faults/network/connections.bpf.h"

#define FL_FIRST_EPHEMERAL_PORT 32768

/* Whether a processor's loads are seen in the order of the program: what is read after the tables'
 * generation is then not older. */
#ifdef __TARGET_ARCH_x86
#define FL_LOADS_KEEP_ORDER 1
#else
#define FL_LOADS_KEEP_ORDER 0
#endif

/* The smoothed round-trip time changes slowly: it is noted with the first of 256 segments that a
 * connection pushes out, and with one in so many of the rest. */
#define FL_RTT_FIRST 8
#define FL_RTT_EVERY 8

/* What a packet told. */
struct fl_seen {
  __u64 sample_ns;    /* its turn's time; 0: none, as in the next two */
  __u64 handshake_ns; /* its connection's */
  __u32 rtt_us;       /* its socket's */
  __u16 retransmits;  /* segments that had been sent before */
  __u8 event;         /* FL_EVENT_; 0: none */
  __u8 reason;        /* not FL_REASON_NONE: one more turn that cannot be measured */
  __u8 answers;       /* it has the first bytes of an answer */
  __u8 asks_rtt;      /* its socket's round-trip time is to be noted */
  __u8 rare;          /* one of event, retransmits and handshake_ns is not 0 */
};

static __always_inline int fl_after(__u32 a, __u32 b) { return (__s32)(a - b) > 0; }

static __always_inline void fl_give_up(struct fl_connection* c, __u8 reason, struct fl_seen* seen) {
  c->reason = reason;
  c->asking = 1;
  seen->reason = reason;
}

/* The side whose port is the system's choice is the client. */
static __always_inline __u8 fl_role_by_ports(struct fl_packet* p) {
  int local = p->local_port >= FL_FIRST_EPHEMERAL_PORT;
  int peer = p->peer_port >= FL_FIRST_EPHEMERAL_PORT;
  if (local == peer) return FL_ROLE_UNKNOWN;
  return local ? FL_ROLE_CLIENT : FL_ROLE_SERVER;
}

/* What the first request's bytes say: protocols that answer out of turn. Global, as fl_begin below:
 * verified once, by itself, and with a stack of its own. */
__noinline int fl_recognise(struct __sk_buff* skb, struct fl_packet* p) {
  __u8 bytes[8];
  if (!p || p->payload_bytes < sizeof(bytes)) return FL_REASON_NONE;
  if (bpf_skb_load_bytes(skb, p->payload_offset, bytes, sizeof(bytes))) return FL_REASON_NONE;
  if (p->protocol == FL_PROTO_TCP) {
    const char preface[8] = "PRI * HT";
    for (int i = 0; i < 8; i++)
      if (bytes[i] != (__u8)preface[i]) return FL_REASON_NONE;
    return FL_REASON_HTTP2;
  }
  /* QUIC long header, versions 1 and 2. */
  if ((bytes[0] & 0xc0) != 0xc0) return FL_REASON_NONE;
  if (bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 0 && bytes[4] == 1) return FL_REASON_QUIC;
  if (bytes[1] == 0x6b && bytes[2] == 0x33 && bytes[3] == 0x43 && bytes[4] == 0xcf)
    return FL_REASON_QUIC;
  return FL_REASON_NONE;
}

static __always_inline void fl_request(struct __sk_buff* skb, struct fl_packet* p,
                                       struct fl_connection* c, __u64 now, struct fl_seen* seen) {
  __u8 tcp = p->protocol == FL_PROTO_TCP, pushed = !tcp || (p->tcp_flags & FL_TCP_PSH);
  __u32 end = p->seq + p->payload_bytes;
  if (tcp && c->request_end_known && !fl_after(end, c->request_end)) return; /* seen before */
  if (c->turn == FL_TURN_WAITING && c->request_pushed) {
    /* The request was complete, and another one comes before any answer. */
    fl_give_up(c, FL_REASON_PIPELINED, seen);
    return;
  }
  if (c->turn == FL_TURN_IDLE) {
    __u8 reason = c->started ? FL_REASON_NONE : fl_recognise(skb, p);
    /* Sent by someone who had not got all of the answer yet. */
    if (tcp && c->answer_end_known && fl_after(c->answer_end, p->ack)) reason = FL_REASON_PIPELINED;
    if (reason) {
      fl_give_up(c, reason, seen);
      return;
    }
    c->request_ns = now;
    c->turn = FL_TURN_WAITING;
  }
  c->started = 1;
  c->request_end = end;
  c->request_end_known = 1;
  c->request_pushed = pushed;
}

static __always_inline void fl_answer(struct fl_packet* p, struct fl_connection* c, __u64 now,
                                      struct fl_seen* seen) {
  __u8 tcp = p->protocol == FL_PROTO_TCP;
  __u32 end = p->seq + p->payload_bytes;
  if (tcp && c->answer_end_known && !fl_after(end, c->answer_end)) return; /* seen before */
  c->answer_end = end;
  c->answer_end_known = 1;
  if (c->turn == FL_TURN_WAITING) {
    /* Sent before all of the request had come: an answer to something earlier. */
    if (tcp && fl_after(c->request_end, p->ack)) {
      fl_give_up(c, FL_REASON_PIPELINED, seen);
      return;
    }
    seen->sample_ns = now - c->request_ns;
    seen->answers = 1;
  }
  c->turn = FL_TURN_IDLE;
}

/* Whether it is the first packet of a TCP connection. */
static __always_inline int fl_opens(struct fl_packet* p) {
  return p->protocol == FL_PROTO_TCP && (p->tcp_flags & (FL_TCP_SYN | FL_TCP_ACK)) == FL_TCP_SYN;
}

struct fl_sight {
  __u64 now_ns;
  __u32 netns; /* the hook's */
  __u8 direction;
  __u8 first;  /* not on its way back from the lane */
  __u8 passes; /* goes its way now: neither lost nor to the lane */
};

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
static __always_inline int fl_whose(struct fl_tables* t, struct fl_connection* c, __u32 direction) {
  __u64 whose = *(volatile __u64*)&c->whose[direction & 1];
  __u32 target = (whose & 0xffff) - 1;
  if (!whose || whose >> 16 != *(volatile __u32*)&t->generation) return -1;
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
