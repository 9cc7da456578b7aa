/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The status class of an HTTP/1 answer in plain text. */
#ifndef FAULTLINE_NETWORK_HTTP_STATUS_BPF_H
#define FAULTLINE_NETWORK_HTTP_STATUS_BPF_H

#include "faults/network/tcp_events.bpf.h"

/* "HTTP/1.1 200" */
#define FL_STATUS_LINE_BYTES 12

static __always_inline int fl_is_digit(__u8 byte) { return byte >= '0' && byte <= '9'; }

/* A packet with the first bytes of an answer, at least as many as are looked at. Global: verified
 * once, by itself. */
__noinline int fl_see_answer(struct __sk_buff* skb, struct fl_packet* p, struct fl_seen* seen) {
  const char version[7] = "HTTP/1.";
  __u8 line[FL_STATUS_LINE_BYTES];
  if (!p || !seen) return 0;
  if (bpf_skb_load_bytes(skb, p->payload_offset, line, sizeof(line))) return 0;
  for (int i = 0; i < 7; i++)
    if (line[i] != (__u8)version[i]) return 0;
  if (line[8] != ' ' || line[9] < '1' || line[9] > '5') return 0;
  if (!fl_is_digit(line[10]) || !fl_is_digit(line[11])) return 0;
  seen->event = FL_EVENT_HTTP + line[9] - '1';
  return 0;
}

#endif
