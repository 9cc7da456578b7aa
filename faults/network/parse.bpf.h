/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From packet to the properties that filters look at. */
#ifndef FAULTLINE_NETWORK_PARSE_BPF_H
#define FAULTLINE_NETWORK_PARSE_BPF_H

#include "faults/network/packet.bpf.h"

#define FL_IPV6_EXTENSIONS 8
#define FL_TAG_BYTES 4 /* of a VLAN tag */

/* Of a frame, which holds every transport header that is read. */
#define FL_PULL_BYTES (FL_HEADER_BYTES + FL_TAG_BYTES + sizeof(struct tcphdr))

/* The headers are not all in the skb's linear part. */
#define FL_CUT_SHORT (-2)

static __always_inline int fl_parse_ports(void* l4, void* end, __u32 l4_bytes, __u32 direction,
                                          struct fl_packet* p) {
  __be16* ports = l4;
  __u32 header = sizeof(struct udphdr);
  if (p->protocol == FL_PROTO_TCP) {
    struct tcphdr* tcp = l4;
    if ((void*)(tcp + 1) > end) return FL_CUT_SHORT;
    p->seq = bpf_ntohl(tcp->seq);
    p->ack = bpf_ntohl(tcp->ack_seq);
    p->tcp_flags = ((__u8*)tcp)[13];
    header = tcp->doff * 4;
  } else if (l4 + sizeof(struct udphdr) > end) {
    return FL_CUT_SHORT;
  }
  p->local_port = bpf_ntohs(direction == FL_EGRESS ? ports[0] : ports[1]);
  p->peer_port = bpf_ntohs(direction == FL_EGRESS ? ports[1] : ports[0]);
  p->has_ports = 1;
  p->payload_offset = p->l4_offset + header;
  p->payload_bytes = l4_bytes > header ? l4_bytes - header : 0;
  return 0;
}

static __always_inline int fl_parse_ipv4(void* data, void* end, __u32 skb_bytes, __u32 direction,
                                         struct fl_packet* p, __u32* l4_bytes, __u8* first) {
  struct iphdr* ip = data + ETH_HLEN;
  __u32 header, total;
  if ((void*)(ip + 1) > end) return FL_CUT_SHORT;
  header = ip->ihl * 4;
  if (header < sizeof(*ip)) return -1;
  total = bpf_ntohs(ip->tot_len);
  /* 0: a BIG TCP packet says its length only in the skb. */
  if (total == 0) total = skb_bytes - ETH_HLEN;
  p->address[FL_LOCAL][2] = p->address[FL_PEER][2] = bpf_htonl(0xffff);
  p->address[FL_LOCAL][3] = direction == FL_EGRESS ? ip->saddr : ip->daddr;
  p->address[FL_PEER][3] = direction == FL_EGRESS ? ip->daddr : ip->saddr;
  p->l4_offset = ETH_HLEN + header;
  p->dscp = ip->tos >> 2;
  p->ip_bytes = total;
  *l4_bytes = total > header ? total - header : 0;
  *first = !(ip->frag_off & bpf_htons(0x1fff));
  return ip->protocol;
}

/* Of an IPv6 extension header that is no fragment's and has `length` in its second byte. AH counts
 * fours, the others eights, which is the same once more: without a branch, for the verifier walks
 * the rest of the headers once for each way to come there. */
static __always_inline __u32 fl_extension_bytes(__u8 kind, __u8 length) {
  __u32 more = kind ^ IPPROTO_AH, bytes = length * 4u;
  barrier_var(more); /* else the compiler makes a branch of the next line */
  more = -((more + 0xff) >> 8);
  return 8 + bytes + (bytes & more);
}

static __always_inline int fl_parse_ipv6(void* data, void* end, __u32 skb_bytes, __u32 direction,
                                         struct fl_packet* p, __u32* l4_bytes, __u8* first) {
  struct ipv6hdr* ip = data + ETH_HLEN;
  __u32 offset = ETH_HLEN + sizeof(*ip), total;
  __u8 next;
  if ((void*)(ip + 1) > end) return FL_CUT_SHORT;
  total = bpf_ntohs(ip->payload_len) + ETH_HLEN + sizeof(*ip);
  if (ip->payload_len == 0) total = skb_bytes;
  for (int i = 0; i < 4; i++) {
    __u32 source = ip->saddr.in6_u.u6_addr32[i], destination = ip->daddr.in6_u.u6_addr32[i];
    p->address[FL_LOCAL][i] = direction == FL_EGRESS ? source : destination;
    p->address[FL_PEER][i] = direction == FL_EGRESS ? destination : source;
  }
  p->dscp = bpf_ntohl(*(__be32*)ip) >> 22 & 0x3f;
  p->ip_bytes = total - ETH_HLEN;
  next = ip->nexthdr;
  *first = 1;
  for (int i = 0; i < FL_IPV6_EXTENSIONS; i++) {
    __u8* extension = data + offset;
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
        next != IPPROTO_AH && next != IPPROTO_FRAGMENT)
      break;
    if (extension + 8 > (__u8*)end) {
      p->protocol = FL_PROTO_OTHER;
      return FL_CUT_SHORT;
    }
    if (next == IPPROTO_FRAGMENT) {
      *first = !(*(__be16*)(extension + 2) & bpf_htons(0xfff8));
      offset += 8;
    } else {
      offset += fl_extension_bytes(next, extension[1]);
    }
    next = extension[0];
    if (!*first || offset > FL_HEADER_BYTES) break;
  }
  p->l4_offset = offset;
  *l4_bytes = total > offset ? total - offset : 0;
  return next;
}

/* The rest of fl_parse, of a frame that begins at `data`, as if it had no tags. */
static __always_inline int fl_parse_untagged(void* data, void* end, __u32 ethertype, __u32 bytes,
                                             __u32 direction, struct fl_packet* p) {
  __u32 l4_bytes = 0;
  __u8 first = 1;
  int protocol;
  if (ethertype == bpf_htons(ETH_P_IP))
    protocol = fl_parse_ipv4(data, end, bytes, direction, p, &l4_bytes, &first);
  else if (ethertype == bpf_htons(ETH_P_IPV6))
    protocol = fl_parse_ipv6(data, end, bytes, direction, p, &l4_bytes, &first);
  else
    return -1;
  if (protocol < 0) return protocol;
  if (protocol == IPPROTO_TCP)
    p->protocol = FL_PROTO_TCP;
  else if (protocol == IPPROTO_UDP)
    p->protocol = FL_PROTO_UDP;
  else
    p->protocol =
        protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? FL_PROTO_ICMP : FL_PROTO_OTHER;
  if (!first) return 0;
  if (p->l4_offset > FL_HEADER_BYTES) return 0;
  if (protocol == IPPROTO_ICMPV6) {
    __u8* type = data + p->l4_offset;
    if (type + 1 > (__u8*)end) return FL_CUT_SHORT;
    p->icmp6_type = *type;
  }
  if (p->protocol > FL_PROTO_UDP) return 0;
  return fl_parse_ports(data + p->l4_offset, end, l4_bytes, direction, p);
}

/* 0, FL_CUT_SHORT, or -1 for what no filter can match. A later fragment has no ports, and none has
 * what begins behind FL_HEADER_BYTES (a tag not counted). Of what is cut short behind its IP header
 * `p` has all but ports and what is read with them. Global: its many branches are verified once. */
__noinline int fl_parse(struct __sk_buff* skb, __u32 direction, struct fl_packet* p) {
  void *data = (void*)(long)skb->data, *end = (void*)(long)skb->data_end;
  __u32 ethertype = skb->protocol, tag_bytes = 0;
  int result;
  if (!p) return -1;
  /* The kernel keeps the outer tag beside the frame; behind it another may stand in the frame. */
  if (fl_is_tag(ethertype)) {
    __be16* inner = data + ETH_HLEN + 2;
    if ((void*)(inner + 1) > end) return FL_CUT_SHORT;
    ethertype = *inner;
    tag_bytes = FL_TAG_BYTES;
  }
  result = fl_parse_untagged(data + tag_bytes, end, ethertype, skb->len - tag_bytes, direction, p);
  if (tag_bytes) {
    p->l4_offset += tag_bytes;
    p->payload_offset += tag_bytes;
  }
  return result;
}

/* Fills `p`; not 0 for what no filter can match. A packet that ends within its transport header has
 * no ports, as a later fragment. */
static __always_inline int fl_read(struct __sk_buff* skb, __u32 direction, struct fl_packet* p) {
  __u32 want = skb->len < FL_PULL_BYTES ? skb->len : FL_PULL_BYTES;
  int result = fl_parse(skb, direction, p);
  if (result != FL_CUT_SHORT) return result;
  if (bpf_skb_pull_data(skb, want)) return -1;
  __builtin_memset(p, 0, sizeof(*p));
  result = fl_parse(skb, direction, p);
  return result == FL_CUT_SHORT && p->ip_bytes ? 0 : result;
}

#endif
