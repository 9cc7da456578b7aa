/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What is asked of a packet for a rule, beside its classes. */
#ifndef FAULTLINE_NETWORK_NARROW_BPF_H
#define FAULTLINE_NETWORK_NARROW_BPF_H

#include "faults/network/choose.bpf.h"
#include "faults/network/classify.bpf.h"
#include "faults/network/connections.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FL_MAX_RULES);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct fl_counters);
} fl_counters SEC(".maps");

/* So that the shares of one rule, and its choice, do not go together. */
#define FL_SALT_PACKETS 0x7061636b65747300ull
#define FL_SALT_FLOWS 0x666c6f7773000000ull
#define FL_SALT_PEERS 0x7065657273000000ull

/* The same for both directions. */
static __always_inline __u32 fl_flow_hash(struct fl_packet* p) {
  __u64 hash = ((__u64)p->local_port << 16 | p->peer_port) ^ (__u64)p->protocol << 32;
  for (int i = 0; i < 4; i++)
    hash = fl_mix(hash ^ ((__u64)p->address[FL_LOCAL][i] << 32 | p->address[FL_PEER][i]));
  return hash;
}

static __always_inline __u32 fl_peer_hash(struct fl_packet* p) {
  __u64 hash = 0;
  for (int i = 0; i < 4; i++) hash = fl_mix(hash ^ p->address[FL_PEER][i]);
  return hash;
}

/* Whether what is called `name` belongs to the share that is left out. */
static __always_inline int fl_left_out(__u64 seed, __u64 salt, __u64 name, __u64 out) {
  return (__u32)fl_mix(seed ^ salt ^ fl_mix(name)) < out;
}

/* Whether the payload begins with the bytes that the rule names. Global: verified once, by itself.
 */
__noinline int fl_begins(struct __sk_buff* skb, __u32 id, struct fl_packet* p) {
  __u8 first[FL_FIRST_BYTES] = {};
  __u32 last;
  struct fl_narrow* n;
  if (!p) return 0;
  n = &fl_tables.rule[id & (FL_MAX_RULES - 1)].narrow;
  if (p->payload_bytes < n->first_bytes) return 0;
  last = n->first_bytes - 1;
  /* Hidden from the compiler, which would drop the mask: older verifiers learn only from it that
   * the size is not 0. */
  asm volatile("" : "+r"(last));
  last &= FL_FIRST_BYTES - 1;
  if (bpf_skb_load_bytes(skb, p->payload_offset, first, last + 1)) return 0;
  for (__u32 i = 0; i < FL_FIRST_BYTES; i++)
    if (i <= last && n->first[i] != first[i]) return 0;
  return 1;
}

/* When a TCP connection began, as far as a rule that asks for it has seen it begin. */
struct fl_birth {
  __u64 at_ns;
  /* Sequence numbers of its SYN and its SYN-ACK; 0: not seen. */
  __u32 syn;
  __u32 accept;
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, FL_MAX_CONNECTIONS);
  __type(key, struct fl_connection_key);
  __type(value, struct fl_birth);
} fl_births SEC(".maps");

/* Whether the packet's connection is one of those that the rule names. Global, as above. */
__noinline int fl_is_of(__u32 id, struct fl_packet* p, __u64 now_ns) {
  struct fl_rule* rule = &fl_tables.rule[id & (FL_MAX_RULES - 1)];
  struct fl_connection_key key;
  struct fl_birth* birth;
  int is_new;
  if (!p || p->protocol != FL_PROTO_TCP || !p->has_ports) return 0;
  key = fl_key_of(p);
  birth = bpf_map_lookup_elem(&fl_births, &key);
  is_new = birth && birth->at_ns >= rule->armed_ns;
  if (p->tcp_flags & FL_TCP_SYN) {
    __u32 accepts = p->tcp_flags & FL_TCP_ACK, seq = p->seq;
    struct fl_birth fresh = {
        .at_ns = now_ns, .syn = accepts ? 0 : seq, .accept = accepts ? seq : 0};
    __u32 seen = !birth ? 0 : accepts ? birth->accept : birth->syn;
    /* Nobody has accepted it yet: a SYN begins it once more. */
    int begins = !birth || (seen && seen != seq) || (!accepts && !birth->accept);
    if (begins) {
      bpf_map_update_elem(&fl_births, &key, &fresh, BPF_ANY);
      is_new = 1;
    } else if (accepts) {
      birth->accept = seq;
    } else {
      birth->syn = seq;
    }
  }
  return is_new == (rule->narrow.connections == FL_CONNECTIONS_NEW);
}

static __always_inline int fl_admits(struct fl_rule* rule, struct fl_counters* counters,
                                     struct fl_packet* p) {
  struct fl_narrow* n = &rule->narrow;
  if (n->dscp && !(n->dscp >> (p->dscp & 63) & 1)) return 0;
  if (p->ip_bytes < n->min_bytes) return 0;
  if (n->max_bytes && p->ip_bytes > n->max_bytes) return 0;
  if (n->tcp_flags_mask) {
    if (p->protocol != FL_PROTO_TCP || !p->has_ports) return 0;
    if ((p->tcp_flags & n->tcp_flags_mask) != n->tcp_flags) return 0;
  }
  if (p->payload_bytes < n->min_payload) return 0;
  if (n->peers_out && fl_left_out(rule->seed, FL_SALT_PEERS, fl_peer_hash(p), n->peers_out))
    return 0;
  if (n->flows_out && fl_left_out(rule->seed, FL_SALT_FLOWS, fl_flow_hash(p), n->flows_out))
    return 0;
  if (!n->packets_out) return 1;
  return !fl_left_out(rule->choice_seed, FL_SALT_PACKETS,
                      __sync_fetch_and_add(&counters->offered, 1), n->packets_out);
}

#endif
