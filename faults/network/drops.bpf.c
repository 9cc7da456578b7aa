/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What only the kernel's own tracepoints show of a target: the packets that it drops, by its
 * reason, and the connections of the target's sockets that fail. */
#include <linux/bpf.h>
#include <linux/errno.h>

#include "faults/network/tell.bpf.h"
#include "faults/network/whose.bpf.h"

/* Set before loading: what marks packets that a fault has lost, and whether the tracepoint names
 * the socket that a packet had come to. */
const volatile __u64 fl_magic = 0;
const volatile __u32 fl_names_socket = 0;

/* Where a packet was dropped. */
struct fl_place {
  __u32 netns;
  __u32 in;  /* interface that it came by; 0: it began on this host */
  __u32 out; /* interface that it was at, or on its way to */
};

static __always_inline void fl_find_place(struct sk_buff* skb, struct sock* receiver,
                                          struct fl_place* place) {
  struct net_device* device = BPF_CORE_READ(skb, dev);
  struct net* net = BPF_CORE_READ(device, nd_net.net);
  if (!net && receiver) net = BPF_CORE_READ(receiver, __sk_common.skc_net.net);
  if (!net) {
    /* The lowest bit says who counts the reference. */
    unsigned long route = BPF_CORE_READ(skb, _skb_refdst) & ~1ul;
    device = BPF_CORE_READ((struct dst_entry*)route, dev);
    net = BPF_CORE_READ(device, nd_net.net);
  }
  place->netns = BPF_CORE_READ(net, ns.inum);
  place->in = BPF_CORE_READ(skb, skb_iif);
  place->out = BPF_CORE_READ(device, ifindex);
}

/* A packet that a fault has lost is that fault's, and so is one that gets lost in an fq lane, which
 * has another mark. */
static __always_inline int fl_lost_by_fault(struct sk_buff* skb) {
  const char* cb = (char*)skb + bpf_core_field_offset(struct sk_buff, cb);
  __u32 words[4] = {};
  bpf_probe_read_kernel(words, sizeof(words),
                        cb + bpf_core_field_offset(struct qdisc_skb_cb, data));
  return (words[0] == (__u32)fl_magic && words[1] == (__u32)(fl_magic >> 32)) ||
         words[3] == (__u32)fl_magic;
}

static __always_inline void fl_read_ports(void* l4, __u32 direction, struct fl_packet* p) {
  __be16 ports[2];
  if (p->protocol > FL_PROTO_UDP || bpf_probe_read_kernel(ports, sizeof(ports), l4)) return;
  p->local_port = fl_port(direction == FL_EGRESS ? ports[0] : ports[1]);
  p->peer_port = fl_port(direction == FL_EGRESS ? ports[1] : ports[0]);
  p->has_ports = 1;
}

static __always_inline void fl_set_protocol(__u8 number, struct fl_packet* p) {
  p->protocol = number == IPPROTO_TCP                                ? FL_PROTO_TCP
                : number == IPPROTO_UDP                              ? FL_PROTO_UDP
                : number == IPPROTO_ICMP || number == IPPROTO_ICMPV6 ? FL_PROTO_ICMP
                                                                     : FL_PROTO_OTHER;
}

/* Addresses, protocol and ports, as far as the headers stand where they usually do; 0 for no IP.
 * Not inlined: with a stack of its own. */
static __noinline int fl_read_dropped(struct sk_buff* skb, __u32 direction, struct fl_packet* p) {
  void* header = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
  __u32 local = direction == FL_EGRESS ? 0 : 1;
  __be16 protocol = BPF_CORE_READ(skb, protocol);
  if (protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr ip;
    if (bpf_probe_read_kernel(&ip, sizeof(ip), header)) return 0;
    p->address[FL_LOCAL][2] = p->address[FL_PEER][2] = bpf_htonl(0xffff);
    p->address[FL_LOCAL][3] = local ? ip.daddr : ip.saddr;
    p->address[FL_PEER][3] = local ? ip.saddr : ip.daddr;
    fl_set_protocol(ip.protocol, p);
    if (!(ip.frag_off & bpf_htons(0x1fff))) fl_read_ports(header + ip.ihl * 4, direction, p);
    return 1;
  }
  if (protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr ip;
    if (bpf_probe_read_kernel(&ip, sizeof(ip), header)) return 0;
    __builtin_memcpy(p->address[FL_LOCAL], local ? &ip.daddr : &ip.saddr, 16);
    __builtin_memcpy(p->address[FL_PEER], local ? &ip.saddr : &ip.daddr, 16);
    fl_set_protocol(ip.nexthdr, p);
    fl_read_ports(header + sizeof(ip), direction, p);
    return 1;
  }
  return 0;
}

__noinline int fl_count_drop(__u32 target, __u32 reason) {
  struct fl_target_stats* stats = bpf_map_lookup_elem(&fl_stats, &target);
  if (!stats) return 0;
  if (fl_add_one(target, FL_COUNTERS_OF_DROPS + reason))
    __sync_fetch_and_add(&stats->events[FL_EVENT_LOST], 1);
  __sync_fetch_and_add(&stats->events[FL_EVENT_DROP], 1);
  return 0;
}

__noinline int fl_count_drops(struct fl_targets* targets, __u32 reason) {
  __u32 target;
  if (!targets) return 0;
  if (reason >= FL_DROP_REASONS) reason = FL_DROP_REASONS - 1;
  FL_FOR_EACH_TARGET(targets, target) fl_count_drop(target, reason);
  return 0;
}

/* A packet that came in has its sender's socket at most, if that is of this host. */
static __always_inline struct sock* fl_sender(struct sk_buff* skb, __u32 netns) {
  struct sock* sk = BPF_CORE_READ(skb, sk);
  return sk && fl_netns_of(sk) == netns ? fl_whole_socket(sk) : 0;
}

/* The hook, and which way the packet went there; FL_MAX_HOOKS: none. Fills `p` then. */
static __always_inline __u32 fl_find_packet(struct sk_buff* skb, struct fl_place* place,
                                            __u32* direction, struct fl_packet* p) {
  __u32 hook_id = fl_find_hook(place->netns, place->in), point = FL_INGRESS;
  /* TCP forgets the device and the route before it is done with a segment. */
  *direction = FL_INGRESS;
  if (!place->netns && place->in && fl_read_dropped(skb, FL_INGRESS, p))
    return fl_find_connection(p, place->in);
  if (hook_id >= FL_MAX_HOOKS) {
    hook_id = fl_find_hook(place->netns, place->out);
    point = FL_EGRESS;
  }
  if (hook_id >= FL_MAX_HOOKS) return FL_MAX_HOOKS;
  *direction = point ^ (fl_tables.hook[hook_id & (FL_MAX_HOOKS - 1)].outside & 1);
  if (!fl_read_dropped(skb, *direction, p)) return FL_MAX_HOOKS;
  return hook_id;
}

SEC("raw_tp/kfree_skb")
int fl_drop(struct bpf_raw_tracepoint_args* context) {
  struct sk_buff* skb = (void*)context->args[0];
  struct fl_news news = {.type = FL_TELL_DROP, .reason = context->args[2]};
  __u32 direction, hook_id;
  struct sock* receiver = 0;
  struct fl_place place = {};
  struct fl_packet p = {};
  struct fl_targets targets = {};
  struct fl_inside inside = {};
  /* First: each packet of a lane is one. */
  if (fl_lost_by_fault(skb)) return 0;
  if (fl_names_socket) receiver = (void*)context->args[3];
  if (receiver) receiver = fl_whole_socket(receiver);
  fl_find_place(skb, receiver, &place);
  hook_id = fl_find_packet(skb, &place, &direction, &p);
  if (hook_id >= FL_MAX_HOOKS) return 0;
  fl_find_owners((__u64)(direction == FL_INGRESS ? receiver : fl_sender(skb, place.netns)),
                 &inside);
  p.hook = hook_id;
  fl_find_targets(&p, &inside, direction, &targets);
  if (!targets.words) return 0;
  news.direction = direction;
  fl_count_drops(&targets, news.reason);
  return fl_tell(&targets, &p, &news);
}

/* Whether a socket that closes has failed, otherwise than by a reset. So has one whose program
 * gives up before it is accepted. */
static __always_inline int fl_has_failed(int error, int before) {
  if (!error) return before == FL_SYN_SENT;
  return error != ECONNREFUSED && error != ECONNRESET && error != EPIPE && error != ECONNABORTED;
}

SEC("raw_tp/inet_sock_set_state")
int fl_failed(struct bpf_raw_tracepoint_args* context) {
  struct sock* sk = (void*)context->args[0];
  int before = context->args[1], now = context->args[2];
  struct fl_news news = {.type = FL_TELL_FAILED, .direction = FL_EGRESS};
  __u32 hook_id;
  struct fl_packet p = {};
  struct fl_targets targets = {};
  struct fl_inside inside = {};
  if (now != FL_CLOSE || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP) return 0;
  news.open = before != FL_SYN_SENT && before != FL_SYN_RECV;
  news.reason = BPF_CORE_READ(sk, sk_err);
  if (!fl_has_failed(news.reason, before) || !fl_read_socket(sk, &p)) return 0;
  hook_id = fl_find_hook(fl_netns_of(sk), BPF_CORE_READ(sk, sk_dst_cache, dev, ifindex));
  /* From the other end of the target's link it is a peer's socket. */
  if (hook_id >= FL_MAX_HOOKS || fl_tables.hook[hook_id & (FL_MAX_HOOKS - 1)].outside) return 0;
  fl_find_owners((__u64)sk, &inside);
  p.hook = hook_id;
  fl_find_targets(&p, &inside, FL_EGRESS, &targets);
  if (!targets.words) return 0;
  fl_count_event(&targets, FL_EVENT_FAILED + news.open);
  return fl_tell(&targets, &p, &news);
}

char fl_license[] SEC("license") = "Dual BSD/GPL";
