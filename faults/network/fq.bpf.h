/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A packet's way through the fq lane: a copy of it waits in the fq qdisc of a veth device until the
 * time that it carries, comes out of the device's peer, and goes back to where it belongs. What is
 * to be known of it then is in words of the packet that fq leaves alone (it writes cb[0] to cb[2]).
 */
#ifndef FAULTLINE_NETWORK_FQ_BPF_H
#define FAULTLINE_NETWORK_FQ_BPF_H

#include "faults/network/delays.bpf.h"
#include "faults/network/mark.bpf.h"

/* In tc_index, beside FL_RETURN_TAG: the packet counts as the packets of its train. */
#define FL_FQ_TRAIN 0x8000
/* The same for FL_TOLD. */
#define FL_FQ_TOLD 0x4000
/* The same for the second epoch. */
#define FL_FQ_EPOCH 0x2000

/* In cb[4]: its rules, each with 1 added, and the end of its hook's generation. */
#define FL_FQ_RULE_BITS 13
#define FL_FQ_RULE_MASK ((1u << FL_FQ_RULE_BITS) - 1)
#define FL_FQ_GENERATION(hook) ((hook)->generation << FL_FQ_RULES * FL_FQ_RULE_BITS)

/* How long the packet is to wait for its rules, if the kernel can hold it; else 0: the TAP lane
 * holds it. */
static __always_inline __u64 fl_hold_ns(struct fl_lane_prefix* prefix) {
  __u64 sum = 0;
  __u32 rules = prefix->rule_count;
  if (rules > FL_FQ_RULES) return 0;
  /* Hidden from the compiler, which would drop the loop's first check: older verifiers need it. */
  asm volatile("" : "+r"(rules));
  for (__u32 i = 0; i < FL_FQ_RULES && i < rules; i++) {
    __u64 hold_ns = fl_tables.rule[prefix->rule[i] & (FL_MAX_RULES - 1)].hold_ns;
    if (!hold_ns) return 0;
    sum += hold_ns;
  }
  return sum <= FL_FQ_MOST_NS ? sum : 0;
}

static __always_inline void fl_count_held(__u32 id, __u32 count, int dropped, __u32 epoch) {
  struct fl_counters* counters = bpf_map_lookup_elem(&fl_counters, &id);
  if (!counters) return;
  __sync_fetch_and_add(&counters->fq_sent, count);
  __sync_fetch_and_add(&counters->acted, count);
  __sync_fetch_and_add(dropped ? &counters->lane_dropped : &counters->fq_in[epoch & 1], count);
}

/* Sends a copy: the packet itself would keep its socket, whose sender would then wait for the lane
 * (TCP's small queues). Result: 0 when the lane has it. */
static __always_inline int fl_enqueue(struct __sk_buff* skb, __u32 ifindex, __u32 epoch) {
  __s64 bytes = skb->len + FL_FQ_PACKET_BYTES;
  struct fl_fq_epoch* e = &fl_tables.fq_epochs[epoch & 1];
  if (__sync_fetch_and_add(&fl_tables.fq_room, -bytes) >= bytes) {
    if (!bpf_clone_redirect(skb, ifindex, 0)) {
      __sync_fetch_and_add(&e->packets_in, 1);
      __sync_fetch_and_add(&e->bytes_in, bytes);
      return 0;
    }
  }
  __sync_fetch_and_add(&fl_tables.fq_room, bytes);
  return -1;
}

/* `flags` are FL_FQ_. Result: the verdict on the packet itself. Global, as the function below:
 * verified once, by itself. */
__noinline int fl_to_fq(struct __sk_buff* skb, struct fl_lane_prefix* prefix, __u64 hold_ns,
                        __u32 count, __u32 flags) {
  __u32 ids, tag, epoch;
  struct fl_hook* hook;
  int dropped;
  if (!prefix) return FL_PASS;
  epoch = fl_tables.fq_epoch & 1;
  hook = &fl_tables.hook[prefix->hook & (FL_MAX_HOOKS - 1)];
  ids = FL_FQ_GENERATION(hook);
  tag = FL_RETURN_TAG(prefix->hook, prefix->direction);
  for (__u32 i = 0; i < FL_FQ_RULES && i < prefix->rule_count; i++)
    ids |= (prefix->rule[i] + 1u) << i * FL_FQ_RULE_BITS;
  skb->cb[3] = (__u32)fl_magic;
  skb->cb[4] = ids;
  skb->tc_index = tag | flags | (epoch ? FL_FQ_EPOCH : 0);
  skb->priority = 0; /* another would be another queue, or none */
  /* fq holds back what stands behind a packet of the same hash: one for each flow and delay. */
  bpf_set_hash(skb, fl_mix(((__u64)prefix->flow << 32 | ids) ^ fl_mix(tag)) | 1);
  bpf_skb_set_tstamp(skb, bpf_ktime_get_ns() + hold_ns, BPF_SKB_TSTAMP_DELIVERY_MONO);
  dropped = fl_enqueue(skb, hook->fq_ifindex, epoch);
  for (__u32 i = 0; i < FL_FQ_RULES && i < prefix->rule_count; i++)
    fl_count_held(prefix->rule[i], count, dropped, epoch);
  return fl_lose(skb);
}

static __always_inline void fl_count_back(__u32 id, __u32 count, __u64 late_ns, __u32 epoch) {
  struct fl_counters* counters = bpf_map_lookup_elem(&fl_counters, &id);
  __u64 hold_ns = fl_tables.rule[id & (FL_MAX_RULES - 1)].hold_ns;
  if (!counters) return;
  __sync_fetch_and_add(&counters->fq_out[epoch & 1], count);
  __sync_fetch_and_add(&counters->delay_asked_ns, hold_ns * count);
  __sync_fetch_and_add(&counters->delay_given_ns, (hold_ns + late_ns) * count);
  __sync_fetch_and_add(&counters->delays_measured, count);
  fl_note_delay(id, hold_ns + late_ns, count);
}

/* A packet that has come out of the lane. Result: the verdict on it. */
__noinline int fl_from_fq(struct __sk_buff* skb) {
  __u32 ids = skb->cb[4], tag = skb->tc_index, count = 1, place, hook_id;
  __u32 epoch = tag & FL_FQ_EPOCH ? 1 : 0, bytes = skb->len + FL_FQ_PACKET_BYTES;
  __u64 now = bpf_ktime_get_ns(), due = now;
  if (skb->cb[3] != (__u32)fl_magic) return fl_lose(skb);
  if (skb->tstamp_type == BPF_SKB_TSTAMP_DELIVERY_MONO) due = skb->tstamp;
  if (tag & FL_FQ_TRAIN && skb->gso_segs) count = skb->gso_segs;
  __sync_fetch_and_add(&fl_tables.fq_epochs[epoch].packets_out, 1);
  __sync_fetch_and_add(&fl_tables.fq_epochs[epoch].bytes_out, bytes);
  __sync_fetch_and_add(&fl_tables.fq_room, bytes);
  for (__u32 i = 0; i < FL_FQ_RULES; i++) {
    __u32 id = ids >> i * FL_FQ_RULE_BITS & FL_FQ_RULE_MASK;
    if (id) fl_count_back(id - 1, count, now > due ? now - due : 0, epoch);
  }
  skb->cb[3] = 0;
  skb->cb[4] = 0;
  skb->tc_index = 0;
  bpf_skb_set_tstamp(skb, 0, BPF_SKB_TSTAMP_UNSPEC);
  bpf_set_hash_invalid(skb);
  place = (tag & (FL_FQ_EPOCH - 1)) - 1;
  hook_id = place >> 1 & (FL_MAX_HOOKS - 1);
  /* Another interface may have the place by now. */
  if ((ids ^ FL_FQ_GENERATION(&fl_tables.hook[hook_id])) >> FL_FQ_RULES * FL_FQ_RULE_BITS)
    return fl_lose(skb);
  return fl_put_back(skb, hook_id, place & 1, tag & FL_FQ_TOLD ? FL_TOLD : 0);
}

#endif
