/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What no rule touches unless it says so: losing it takes away the way to end the fault, or the
 * host's address. ARP is no IP packet, and matches no filter at all. */
#ifndef FAULTLINE_NETWORK_PROTECT_BPF_H
#define FAULTLINE_NETWORK_PROTECT_BPF_H

#include "faults/network/packet.bpf.h"
#include "faults/network/protected_spec.h"

static __always_inline int fl_is_metadata(__u32* address) {
  if (fl_is_ipv4(address)) return address[3] == bpf_htonl(FL_METADATA_IPV4);
  return address[0] == bpf_htonl(FL_METADATA_IPV6_FIRST) && address[1] == 0 && address[2] == 0 &&
         address[3] == bpf_htonl(FL_METADATA_IPV6_LAST);
}

static __always_inline int fl_is_gateway(struct fl_hook* hook, __u32* address) {
  for (int i = 0; i < 2; i++) {
    __u32* gateway = hook->gateway[i];
    if (gateway[3] && gateway[0] == address[0] && gateway[1] == address[1] &&
        gateway[2] == address[2] && gateway[3] == address[3])
      return 1;
  }
  return 0;
}

static __always_inline int fl_has_own_port(struct fl_packet* p) {
  for (int i = 0; i < FL_OWN_PORTS && fl_tables.own_port[i]; i++)
    if (fl_tables.own_port[i] == p->local_port || fl_tables.own_port[i] == p->peer_port) return 1;
  return 0;
}

static __always_inline int fl_is_protected(struct fl_packet* p) {
  struct fl_hook* hook = &fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)];
  if (p->icmp6_type >= FL_ND_FIRST && p->icmp6_type <= FL_ND_LAST) return 1;
  if (p->has_ports && p->protocol == FL_PROTO_TCP) {
    if (p->local_port == FL_SSH_PORT || p->peer_port == FL_SSH_PORT) return 1;
    if (fl_has_own_port(p)) return 1;
  }
  if (p->has_ports && p->protocol == FL_PROTO_UDP) {
    if (FL_IS_DHCP_PORT(p->local_port) && FL_IS_DHCP_PORT(p->peer_port)) return 1;
  }
  return fl_is_metadata(p->address[FL_PEER]) || fl_is_gateway(hook, p->address[FL_PEER]);
}

#endif
