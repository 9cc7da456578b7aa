/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a target's packet tells beside its turn of request and answer. */
#ifndef FAULTLINE_NETWORK_SEE_BPF_H
#define FAULTLINE_NETWORK_SEE_BPF_H

#include "faults/network/count.bpf.h"
#include "faults/network/http_status.bpf.h"
#include "faults/network/socket.bpf.h"
#include "faults/network/tell.bpf.h"

static __always_inline void fl_tell_reset(struct fl_packet* p, struct fl_sight* sight,
                                          struct fl_seen* seen, struct fl_targets* targets) {
  int refused =
      seen->event == FL_EVENT_REFUSED + FL_EGRESS || seen->event == FL_EVENT_REFUSED + FL_INGRESS;
  struct fl_news news = {.type = refused ? FL_TELL_REFUSED : FL_TELL_RESET,
                         .direction = sight->direction};
  fl_tell(targets, p, &news);
}

/* Most packets tell nothing. */
static __always_inline void fl_see(struct __sk_buff* skb, struct fl_packet* p,
                                   struct fl_sight* sight, struct fl_seen* seen) {
  if (p->protocol != FL_PROTO_TCP) return;
  if (p->tcp_flags & (FL_TCP_SYN | FL_TCP_RST)) fl_see_handshake(p, sight, seen);
  if (seen->answers && p->payload_bytes >= FL_STATUS_LINE_BYTES) fl_see_answer(skb, p, seen);
  if (sight->direction == FL_EGRESS && sight->first &&
      (p->payload_bytes || (p->tcp_flags & (FL_TCP_SYN | FL_TCP_FIN))))
    fl_see_socket(skb, p, sight->netns, seen);
  seen->rare = seen->event || seen->retransmits || seen->handshake_ns;
}

#endif
