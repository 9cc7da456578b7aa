/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Request-to-response time, paired per connection by the turn of direction of payload, on the side
 * of whoever waits. The rules, and why they are sound, stand in README.md. */
#ifndef FAULTLINE_NETWORK_MEASURE_BPF_H
#define FAULTLINE_NETWORK_MEASURE_BPF_H

#include "faults/network/classify.bpf.h"
#include "faults/network/connections.bpf.h"

#define FL_FIRST_EPHEMERAL_PORT 32768

/* What a packet told about its connection. */
struct fl_turn {
  __u64 sample_ns; /* 0: none */
  __u32 reason;    /* not FL_REASON_NONE: one more turn that cannot be measured */
  __u32 answers;   /* it has the first bytes of an answer */
};

static __always_inline int fl_after(__u32 a, __u32 b) { return (__s32)(a - b) > 0; }

static __always_inline void fl_give_up(struct fl_connection* c, __u8 reason, struct fl_turn* turn) {
  c->reason = reason;
  c->asking = 1;
  turn->reason = reason;
}

/* The side whose port is the system's choice is the client. */
static __always_inline __u8 fl_role_by_ports(struct fl_packet* p) {
  int local = p->local_port >= FL_FIRST_EPHEMERAL_PORT;
  int peer = p->peer_port >= FL_FIRST_EPHEMERAL_PORT;
  if (local == peer) return FL_ROLE_UNKNOWN;
  return local ? FL_ROLE_CLIENT : FL_ROLE_SERVER;
}

/* What the first request's bytes say: protocols that answer out of turn. */
static __always_inline __u8 fl_recognise(struct __sk_buff* skb, struct fl_packet* p) {
  __u8 bytes[8];
  if (p->payload_bytes < sizeof(bytes)) return FL_REASON_NONE;
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
                                       struct fl_connection* c, __u64 now, struct fl_turn* turn) {
  __u8 tcp = p->protocol == FL_PROTO_TCP, pushed = !tcp || (p->tcp_flags & FL_TCP_PSH);
  __u32 end = p->seq + p->payload_bytes;
  if (tcp && c->request_end_known && !fl_after(end, c->request_end)) return; /* seen before */
  if (c->turn == FL_TURN_WAITING && c->request_pushed) {
    /* The request was complete, and another one comes before any answer. */
    fl_give_up(c, FL_REASON_PIPELINED, turn);
    return;
  }
  if (c->turn == FL_TURN_IDLE) {
    __u8 reason = c->started ? FL_REASON_NONE : fl_recognise(skb, p);
    /* Sent by someone who had not got all of the answer yet. */
    if (tcp && c->answer_end_known && fl_after(c->answer_end, p->ack)) reason = FL_REASON_PIPELINED;
    if (reason) {
      fl_give_up(c, reason, turn);
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
                                      struct fl_turn* turn) {
  __u8 tcp = p->protocol == FL_PROTO_TCP;
  __u32 end = p->seq + p->payload_bytes;
  if (tcp && c->answer_end_known && !fl_after(end, c->answer_end)) return; /* seen before */
  c->answer_end = end;
  c->answer_end_known = 1;
  if (c->turn == FL_TURN_WAITING) {
    /* Sent before all of the request had come: an answer to something earlier. */
    if (tcp && fl_after(c->request_end, p->ack)) {
      fl_give_up(c, FL_REASON_PIPELINED, turn);
      return;
    }
    turn->sample_ns = now - c->request_ns;
    turn->answers = 1;
  }
  c->turn = FL_TURN_IDLE;
}

struct fl_sight {
  __u64 now_ns;
  __u32 netns; /* the hook's */
  __u16 hook;
  __u8 direction;
  __u8 serves; /* the local port is one that a target serves on */
  __u8 first;  /* not on its way back from the lane */
  __u8 passes; /* goes its way now: neither lost nor to the lane */
};

static __always_inline struct fl_connection* fl_begin(struct fl_connection_key* key,
                                                      struct fl_packet* p, struct fl_sight* sight,
                                                      __u8 opens) {
  struct fl_connection fresh = {.turn = FL_TURN_UNSURE};
  fresh.role = sight->serves ? FL_ROLE_SERVER : fl_role_by_ports(p);
  if (opens) {
    if (!sight->serves)
      fresh.role = sight->direction == FL_INGRESS ? FL_ROLE_SERVER : FL_ROLE_CLIENT;
    fresh.request_end = p->seq + 1;
    fresh.request_end_known = 1;
  }
  if (opens || p->protocol == FL_PROTO_UDP) fresh.turn = FL_TURN_IDLE;
  if (fresh.role == FL_ROLE_UNKNOWN) fresh.reason = FL_REASON_UNKNOWN_ROLE;
  bpf_map_update_elem(&fl_connections, key, &fresh, BPF_ANY);
  return bpf_map_lookup_elem(&fl_connections, key);
}

/* Not 0: the packet will tell more when it goes on its way. */
__noinline int fl_measure(struct __sk_buff* skb, struct fl_packet* p, struct fl_sight* sight,
                          struct fl_turn* turn) {
  struct fl_connection_key key = {};
  struct fl_connection* c = 0;
  __u8 opens, requests;
  if (!p || !sight || !turn) return 0;
  opens = p->protocol == FL_PROTO_TCP && (p->tcp_flags & FL_TCP_SYN);
  if (!p->has_ports || (!p->payload_bytes && !opens)) return 0;
  if (opens && ((p->tcp_flags & FL_TCP_ACK) || !sight->first)) return 0;
  fl_key_of(p, sight->hook, &key);
  if (!opens) c = bpf_map_lookup_elem(&fl_connections, &key);
  if (!c) c = fl_begin(&key, p, sight, opens);
  if (!c) return 0;
  /* Kept apart from the check of `c`, which older verifiers cannot see in a merged condition. */
  asm volatile("" : "+r"(c));
  if (opens) return 0;
  requests = (sight->direction == FL_INGRESS) == (c->role == FL_ROLE_SERVER);
  if (c->reason) {
    if (requests && !c->asking) turn->reason = c->reason;
    if (!requests && !sight->passes) return 1;
    turn->answers = !requests && c->asking;
    c->asking = requests;
  } else if (requests) {
    if (sight->first) fl_request(skb, p, c, sight->now_ns, turn);
  } else if (sight->passes) {
    fl_answer(p, c, sight->now_ns, turn);
  } else {
    return 1;
  }
  return 0;
}

#endif
