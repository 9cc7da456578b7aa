/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The properties of a packet that filters look at. */
#ifndef FAULTLINE_NETWORK_PACKET_BPF_H
#define FAULTLINE_NETWORK_PACKET_BPF_H

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "faults/network/datapath.h"

struct fl_packet {
  /* As fl_connection_key. */
  __u32 address[2][4]; /* by side, network order; IPv4 as ::ffff:a.b.c.d */
  __u16 local_port;    /* host order; both 0 when has_ports is not set */
  __u16 peer_port;
  __u8 protocol;   /* FL_PROTO_ */
  __u8 icmp6_type; /* 0: not ICMPv6, or a later fragment */
  __u16 hook;      /* the caller's */

  __u32 payload_bytes;
  __u32 seq;
  __u32 ack;
  __u32 ip_bytes;
  __u16 l4_offset;
  __u16 payload_offset;
  __u16 count; /* as how many packets it counts in a lane: the caller's */
  __u8 tcp_flags;
  __u8 dscp : 6;
  __u8 has_ports : 1;
  __u8 shielded : 1; /* only rules that say so may touch it: the caller's */
} __attribute__((aligned(8)));

static __always_inline int fl_is_ipv4(__u32* address) {
  return address[2] == bpf_htonl(0xffff) && !address[0] && !address[1];
}

/* Whether a VLAN tag stands in the frame where the EtherType would. */
static __always_inline int fl_is_tag(__u32 ethertype) {
  return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

#define FL_TCP_FIN 0x01
#define FL_TCP_SYN 0x02
#define FL_TCP_RST 0x04
#define FL_TCP_PSH 0x08
#define FL_TCP_ACK 0x10

#endif
