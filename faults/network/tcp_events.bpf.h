/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* How connections begin and break off: handshake times, refusals, resets. */
#ifndef FAULTLINE_NETWORK_TCP_EVENTS_BPF_H
#define FAULTLINE_NETWORK_TCP_EVENTS_BPF_H

#include "faults/network/measure.bpf.h"

/* A request for a connection. */
struct fl_handshake {
  __u64 first_ns; /* when it was first seen, however often it is sent again */
  __u32 seq;
  __u8 direction;
  __u8 accepted; /* its SYN-ACK has gone on its way */
  __u8 answered; /* the target has sent a SYN-ACK */
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, FL_MAX_CONNECTIONS);
  __type(key, struct fl_connection_key);
  __type(value, struct fl_handshake);
} fl_handshakes SEC(".maps");

static __always_inline void fl_asks_to_connect(struct fl_connection_key* key, struct fl_packet* p,
                                               struct fl_sight* sight) {
  struct fl_handshake fresh = {
      .first_ns = sight->now_ns, .seq = p->seq, .direction = sight->direction};
  struct fl_handshake* known = bpf_map_lookup_elem(&fl_handshakes, key);
  if (known && known->seq == p->seq && known->direction == sight->direction) return;
  bpf_map_update_elem(&fl_handshakes, key, &fresh, BPF_ANY);
}

/* A packet with SYN or RST. Global: verified once, by itself. */
__noinline int fl_see_handshake(struct fl_packet* p, struct fl_sight* sight, struct fl_seen* seen) {
  struct fl_connection_key key;
  struct fl_handshake* asked;
  if (!p || !sight || !seen) return 0;
  key = fl_key_of(p);
  if ((p->tcp_flags & (FL_TCP_SYN | FL_TCP_ACK | FL_TCP_RST)) == FL_TCP_SYN) {
    if (sight->first) fl_asks_to_connect(&key, p, sight);
    return 0;
  }
  asked = bpf_map_lookup_elem(&fl_handshakes, &key);
  if (asked && (asked->direction == sight->direction || p->ack != asked->seq + 1)) asked = 0;
  if (asked && sight->first && sight->direction == FL_EGRESS && !(p->tcp_flags & FL_TCP_RST)) {
    seen->retransmits = asked->answered;
    asked->answered = 1;
  }
  if (!sight->passes) return 0;
  if (p->tcp_flags & FL_TCP_RST) {
    __u32 refuses = asked && !asked->accepted;
    seen->event = (refuses ? FL_EVENT_REFUSED : FL_EVENT_RESET) + (sight->direction & 1);
    if (refuses) bpf_map_delete_elem(&fl_handshakes, &key);
  } else if (!asked) {
    seen->event = FL_EVENT_UNPAIRED_HANDSHAKE;
  } else if (!asked->accepted) {
    asked->accepted = 1;
    seen->handshake_ns = sight->now_ns - asked->first_ns;
  }
  return 0;
}

#endif
