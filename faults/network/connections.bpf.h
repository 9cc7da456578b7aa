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

#endif
