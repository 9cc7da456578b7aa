/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Request-to-response time, paired per connection by the turn of direction of payload, on the side
 * of whoever waits. The rules, and why they are sound, stand in README.md. */
#ifndef FAULTLINE_NETWORK_TURN_BPF_H
#define FAULTLINE_NETWORK_TURN_BPF_H

#include "faults/network/classify.bpf.h"
#include "faults/network/connections.bpf.h"

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

struct fl_sight {
  __u64 now_ns;
  __u32 netns; /* the hook's */
  __u8 direction;
  __u8 first;  /* not on its way back from the lane */
  __u8 passes; /* goes its way now: neither lost nor to the lane */
  __u8 lost;   /* by one of our rules */
};

static __always_inline int fl_after(__u32 a, __u32 b) { return (__s32)(a - b) > 0; }

static __always_inline void fl_give_up(struct fl_connection* c, __u8 reason, struct fl_seen* seen) {
  c->reason = reason;
  c->asking = 1;
  seen->reason = reason;
}

/* Whether they begin with a method of HTTP/1's. */
static __always_inline int fl_is_method(__u8* bytes) {
  __u32 four = (__u32)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
  switch (four) {
    case 'G' << 24 | 'E' << 16 | 'T' << 8 | ' ':
    case 'P' << 24 | 'U' << 16 | 'T' << 8 | ' ':
    case 'P' << 24 | 'O' << 16 | 'S' << 8 | 'T':
    case 'H' << 24 | 'E' << 16 | 'A' << 8 | 'D':
    case 'P' << 24 | 'A' << 16 | 'T' << 8 | 'C':
    case 'D' << 24 | 'E' << 16 | 'L' << 8 | 'E':
    case 'O' << 24 | 'P' << 16 | 'T' << 8 | 'I':
      return 1;
  }
  return 0;
}

/* Of fl_recognise: a request of HTTP/1 begins, which is measured. */
#define FL_BEGINS_HTTP1 FL_REASONS

/* What a request's first bytes say: FL_BEGINS_HTTP1, or a protocol that answers out of turn.
 * Global, as fl_begin below: verified once, by itself, and with a stack of its own. */
__noinline int fl_recognise(struct __sk_buff* skb, struct fl_packet* p) {
  __u8 bytes[8];
  if (!p || p->payload_bytes < sizeof(bytes)) return FL_REASON_NONE;
  if (bpf_skb_load_bytes(skb, p->payload_offset, bytes, sizeof(bytes))) return FL_REASON_NONE;
  if (p->protocol == FL_PROTO_TCP) {
    const char preface[8] = "PRI * HT";
    if (fl_is_method(bytes)) return FL_BEGINS_HTTP1;
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

/* A request begins, and the first one's bytes tell what the connection is. Not 0: it cannot be
 * measured. */
static __always_inline int fl_start(struct __sk_buff* skb, struct fl_packet* p,
                                    struct fl_connection* c) {
  int said = c->started && !c->http1 ? FL_REASON_NONE : fl_recognise(skb, p);
  /* What a later one does not begin with either is spoken no more: an upgrade. */
  c->http1 = said == FL_BEGINS_HTTP1;
  if (c->started || c->http1) said = FL_REASON_NONE;
  c->started = 1;
  return said;
}

static __always_inline void fl_request(struct __sk_buff* skb, struct fl_packet* p,
                                       struct fl_connection* c, __u64 now, struct fl_seen* seen) {
  __u32 end = p->seq + p->payload_bytes;
  if (c->request_end_known && !fl_after(end, c->request_end)) return; /* seen before */
  /* The request was complete, and another one comes before any answer; but HTTP/1's may have a
   * body, in a segment of its own. */
  if (c->turn == FL_TURN_WAITING && c->request_pushed &&
      !(c->http1 && fl_recognise(skb, p) != FL_BEGINS_HTTP1)) {
    fl_give_up(c, FL_REASON_PIPELINED, seen);
    return;
  }
  if (c->turn == FL_TURN_IDLE) {
    __u8 reason = fl_start(skb, p, c);
    /* Sent by someone who had not got all of the answer yet. */
    if (c->answer_end_known && fl_after(c->answer_end, p->ack)) reason = FL_REASON_PIPELINED;
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
  c->request_pushed = (p->tcp_flags & FL_TCP_PSH) != 0;
}

/* Of UDP: any request may get lost, and any answer, so what tells which answer is whose is only
 * that none is outstanding but one. Those that we lose ourselves are nobody's any more. */
static __always_inline void fl_udp_request(struct __sk_buff* skb, struct fl_packet* p,
                                           struct fl_connection* c, struct fl_sight* sight,
                                           struct fl_seen* seen) {
  __u8 reason = fl_start(skb, p, c);
  if (!reason && c->outstanding && c->chatty) reason = FL_REASON_PIPELINED;
  if (reason) {
    fl_give_up(c, reason, seen);
    return;
  }
  if (sight->lost) return;
  /* What has not been answered for so long will not be. */
  if (c->outstanding && sight->now_ns - c->request_ns > FL_UDP_LOST_NS) c->outstanding = 0;
  c->turn = c->outstanding ? FL_TURN_UNSURE : FL_TURN_WAITING;
  if (c->outstanding < 0xffff) c->outstanding++;
  c->request_ns = sight->now_ns;
}

static __always_inline void fl_udp_answer(struct fl_connection* c, struct fl_sight* sight,
                                          struct fl_seen* seen) {
  if (!c->outstanding) {
    /* More than one to a request: how many are to come cannot be known. */
    c->chatty = c->started;
    return;
  }
  c->outstanding--;
  if (c->turn == FL_TURN_UNSURE) {
    seen->reason = FL_REASON_PIPELINED;
    c->request_ns = sight->now_ns;
    return;
  }
  c->turn = FL_TURN_IDLE;
  if (sight->lost) return;
  seen->sample_ns = sight->now_ns - c->request_ns;
  seen->answers = 1;
}

static __always_inline void fl_answer(struct fl_packet* p, struct fl_connection* c, __u64 now,
                                      struct fl_seen* seen) {
  __u32 end = p->seq + p->payload_bytes;
  if (c->answer_end_known && !fl_after(end, c->answer_end)) return; /* seen before */
  c->answer_end = end;
  c->answer_end_known = 1;
  if (c->turn == FL_TURN_WAITING) {
    /* Sent before all of the request had come: an answer to something earlier. */
    if (fl_after(c->request_end, p->ack)) {
      fl_give_up(c, FL_REASON_PIPELINED, seen);
      return;
    }
    seen->sample_ns = now - c->request_ns;
    seen->answers = 1;
  }
  c->turn = FL_TURN_IDLE;
}

#endif
