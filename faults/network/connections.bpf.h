/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The connections that are measured, by the hook that they are seen at. */
#ifndef FAULTLINE_NETWORK_CONNECTIONS_BPF_H
#define FAULTLINE_NETWORK_CONNECTIONS_BPF_H

#include "faults/network/packet.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, FL_MAX_CONNECTIONS);
  __type(key, struct fl_connection_key);
  __type(value, struct fl_connection);
} fl_connections SEC(".maps");

static __always_inline void fl_key_of(struct fl_packet* p, __u16 hook,
                                      struct fl_connection_key* key) {
  key->local_port = p->local_port;
  key->peer_port = p->peer_port;
  key->protocol = p->protocol;
  key->hook = hook;
  __builtin_memcpy(key->address, p->address, sizeof(key->address));
}

#endif
