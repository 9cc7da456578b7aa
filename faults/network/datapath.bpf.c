/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The network datapath: one program for the interfaces of targets, others on the lanes. What is
 * attached at an interface (Kernel::LoadEntry) says which it is, and goes on in that one.
 * Attached by TCX or as a clsact filter in direct-action mode: the verdicts mean the same. */
#include <linux/if_packet.h>

#include "faults/network/fq.bpf.h"
#include "faults/network/lane.bpf.h"
#include "faults/network/parse.bpf.h"
#include "faults/network/see.bpf.h"

/* A packet that came back from the lane. */
#define FL_AGAIN 2
/* One that a rule loses. */
#define FL_LOST 4
/* One whose connection has begun, if it has any. */
#define FL_BEGUN 8

/* Whether the packet tells more than that it was there. */
static __always_inline int fl_tells_more(struct fl_packet* p) {
  return p->payload_bytes || (p->tcp_flags & (FL_TCP_SYN | FL_TCP_FIN | FL_TCP_RST));
}

/* Measures a packet of targets at that hook. A request counts from its first sight, whatever its
 * rules do to it; an answer counts when it goes on its way. Result: not 0 when the packet has more
 * to tell once it has passed the lane; FL_UNKNOWN when nothing was done, because its connection
 * must begin first. Global: verified once, by itself, and with a stack of its own. */
__noinline int fl_observe(struct __sk_buff* skb, struct fl_packet* p, struct fl_found* found,
                          __u32 way) {
  struct fl_seen seen = {};
  struct fl_sight sight = {.direction = way & 1, .first = !(way & FL_AGAIN)};
  __u32 target;
  int tells;
  struct fl_hook* at;
  if (!p || !found) return 0;
  at = &fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)];
  sight.now_ns = found->prefix.t0_ns;
  sight.netns = at->netns;
  sight.passes = !(way & FL_LOST) && !found->prefix.rule_count;
  sight.lost = (way & FL_LOST) != 0;
  tells = fl_measure(skb, p, found, at->asks, way & FL_BEGUN, &sight, &seen);
  if (tells == FL_UNKNOWN) return tells;
  fl_see(skb, p, &sight, &seen);
  FL_FOR_EACH_TARGET(&found->targets, target) {
    fl_count_one(target, sight.first ? skb->len : 0, &seen);
  }
  if (seen.event && (p->tcp_flags & FL_TCP_RST)) fl_tell_reset(p, &sight, &seen, &found->targets);
  return tells || p->tcp_flags & (FL_TCP_SYN | FL_TCP_RST);
}

/* The same for a packet with payload of a connection of which fl_remember has noted whose it is.
 * Result: 0 when it has not. */
__noinline int fl_recall(struct __sk_buff* skb, struct fl_packet* p, __u32 direction) {
  struct fl_seen seen = {};
  struct fl_sight sight = {.direction = direction & 1, .first = 1, .passes = 1};
  int target;
  struct fl_connection_key key;
  struct fl_connection* c;
  if (!p) return 0;
  key = fl_key_of(p);
  c = bpf_map_lookup_elem(&fl_connections, &key);
  if (!c) return 0;
  target = fl_whose(c, direction);
  if (target < 0) return 0;
  sight.now_ns = bpf_ktime_get_boot_ns();
  sight.netns = fl_tables.hook[p->hook & (FL_MAX_HOOKS - 1)].netns;
  fl_take_turn(skb, p, &sight, c, &seen);
  fl_see(skb, p, &sight, &seen);
  fl_count(target, skb->len, &seen);
  return 1;
}

/* Whether the packet's ports alone say that it belongs to nothing at the hook. */
static __always_inline int fl_is_elsewhere(struct fl_packet* p, __u32 all_ask) {
  if (all_ask & FL_ASKS_LOCAL_PORT &&
      !(p->has_ports && fl_tables.port_set[FL_LOCAL][p->local_port]))
    return 1;
  return all_ask & FL_ASKS_PEER_PORT &&
         !(p->has_ports && fl_tables.port_set[FL_PEER][p->peer_port]);
}

/* Whether it is worth while to look for the packet's connection first. */
static __always_inline int fl_may_recall(struct fl_hook* hook, struct fl_packet* p) {
  if (!p->has_ports || !p->payload_bytes || p->tcp_flags & (FL_TCP_SYN | FL_TCP_RST)) return 0;
  return !hook->asks || hook->all_ask & (FL_ASKS_LOCAL_PORT | FL_ASKS_PEER_PORT);
}

/* Sends a packet that is to wait to the lane that can hold it; `tells` as of fl_observe. Result:
 * the verdict on it. Global: with a stack of its own. */
__noinline int fl_send(struct __sk_buff* skb, struct fl_found* found, struct fl_packet* p,
                       int tells) {
  __u32 flags = tells ? 0 : FL_FQ_TOLD;
  struct fl_hook* hook;
  __u64 hold_ns;
  if (!found || !p) return FL_PASS;
  hook = &fl_tables.hook[found->prefix.hook & (FL_MAX_HOOKS - 1)];
  found->prefix.flow = fl_flow_hash(p);
  /* To a frame with a tag in it the kernel gives no time: the TAP lane holds that. */
  hold_ns = hook->fq_ifindex && !fl_is_tag(skb->protocol) ? fl_hold_ns(&found->prefix) : 0;
  if (!hold_ns) return fl_to_lane(skb, hook->lane_ifindex, &found->prefix, p->count);
  if (p->count > 1) flags |= FL_FQ_TRAIN;
  return fl_to_fq(skb, &found->prefix, hold_ns, p->count, flags);
}

/* Finds what a packet at that hook belongs to. Its cgroup is known only when it is met first: a
 * reinjected one has lost its socket, and belongs to nothing that names a cgroup. */
static __always_inline void fl_find(struct __sk_buff* skb, struct fl_packet* p,
                                    struct fl_found* found, __u32 way) {
  int left = fl_classify(p, found, way & 1, way & FL_AGAIN);
  if (left == FL_FIND_CGROUPS) {
    if (way & 1)
      fl_find_receivers(skb, p, &found->inside);
    else
      fl_find_senders(skb, &found->inside);
    left = fl_classify(p, found, way & 1, 1);
  }
  if (left == FL_COLLECT) fl_collect(p, found);
  found->ruled = found->loses || found->prefix.rule_count;
}

/* Of both directions: to the verifier each program more is as long as this one. */
SEC("tc")
int fl_handle(struct __sk_buff* skb) {
  struct fl_packet p = {};
  struct fl_found found = {};
  __u32 place = skb->cb[FL_HOOK_CB], way = place & 1;
  __u32 hook_id = place >> 1 & (FL_MAX_HOOKS - 1);
  struct fl_hook* hook = &fl_tables.hook[hook_id];
  int tells;
  skb->cb[FL_HOOK_CB] = 0;
  if (!hook->bits[way].rules && !hook->bits[way].targets) return FL_PASS;
  tells = fl_reinjected(skb, hook_id, way);
  if (tells > 1) return FL_PASS;
  if (tells) way |= FL_AGAIN;
  barrier_var(way); /* one value, for which there is a place */
  if (fl_read(skb, way & 1, &p)) return FL_PASS;
  p.hook = hook_id;
  /* Again: what is kept over a call takes a place on the stack. */
  hook = &fl_tables.hook[p.hook & (FL_MAX_HOOKS - 1)];
  if (fl_is_elsewhere(&p, hook->all_ask)) return FL_PASS;
  if (!(way & FL_AGAIN) && hook->bits[way & 1].targets && fl_may_recall(hook, &p) &&
      fl_recall(skb, &p, way))
    return FL_PASS;
  found.generation = *(volatile __u32*)&fl_tables.generation;
  p.count = fl_tables.lane_cuts && skb->gso_segs ? skb->gso_segs : 1;
  found.prefix.hook = p.hook;
  found.prefix.direction = way & 1;
  fl_find(skb, &p, &found, way);
  if (found.generation != *(volatile __u32*)&fl_tables.generation) {
    /* Partly seen before a change, partly after it: now it is all after it. */
    found.generation = *(volatile __u32*)&fl_tables.generation;
    found.loses = found.prefix.rule_count = found.inside.count = 0;
    fl_find(skb, &p, &found, way);
  }
  if (!found.targets.words && !found.ruled) return FL_PASS;
  if (found.ruled || fl_tells_more(&p)) found.prefix.t0_ns = bpf_ktime_get_boot_ns();
  if (!(way & FL_AGAIN) && found.ruled && fl_ask(skb, &found, &p)) way |= FL_LOST;
  if (way & FL_AGAIN) found.prefix.rule_count = 0;
  tells = 0;
  if (found.targets.words && !fl_tells_more(&p)) {
    if (!(way & FL_AGAIN)) fl_count_packet(&found.targets, skb->len);
  } else if (found.targets.words) {
    tells = fl_observe(skb, &p, &found, way);
    if (tells == FL_UNKNOWN) {
      fl_begin(&p, way & 1, found.serves);
      tells = fl_observe(skb, &p, &found, way | FL_BEGUN);
    }
  }
  if (way & FL_LOST) return fl_lose(skb);
  if (!found.prefix.rule_count) return FL_PASS;
  return fl_send(skb, &found, &p, tells);
}

/* On the TAP lane's ingress: back to where the frame belongs; nothing else may come out of a lane.
 */
SEC("tc")
int fl_lane(struct __sk_buff* skb) {
  __u32 place;
  if (!skb->vlan_present || skb->vlan_proto != bpf_htons(FL_RETURN_ETHERTYPE))
    return bpf_redirect(FL_NOWHERE, 0);
  place = skb->vlan_tci - 1;
  if (bpf_skb_vlan_pop(skb)) return bpf_redirect(FL_NOWHERE, 0);
  return fl_put_back(skb, place >> 1 & (FL_MAX_HOOKS - 1), place & 1, 0);
}

/* On the fq lane's way out; what our programs did not send is lost here. */
SEC("tc")
int fl_fq_out(struct __sk_buff* skb) { return fl_from_fq(skb); }

char fl_license[] SEC("license") = "Dual BSD/GPL";
