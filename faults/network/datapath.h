/* What the kernel programs and user space share: map keys, values, constants. C and C++.
 *
 * Words used here: a *hook* is one interface in one network namespace (one program per direction);
 * a *target* and a *rule* (one fault on one target) are bits of a bit vector. A packet is
 * classified by combining one vector per property of the packet. Each vector says in a summary in
 * which of its words there is anything; the summaries are combined first, and only words that all
 * of them name are looked at, so the cost does not grow with the rules. */
#ifndef FAULTLINE_NETWORK_DATAPATH_H
#define FAULTLINE_NETWORK_DATAPATH_H

#include <linux/types.h>

#include "faults/network/events.h"

#define FL_MAX_HOOKS 512 /* a power of two, as the next two are */
#define FL_MAX_TARGETS 512
#define FL_MAX_RULES 4096
/* Rules of one action that one packet obeys at most; user space refuses more on one target than
 * half of it. */
#define FL_MAX_RULES_PER_PACKET 16
#define FL_MAX_RULES_PER_TARGET 8
#define FL_MAX_PREFIXES 8192
#define FL_MAX_CONNECTIONS 16384
#define FL_OWN_PORTS 16
/* What the kernel holds by itself, in the fq lane: packets of so many rules at most, so long
 * altogether at most. It cannot let go of them early. */
#define FL_FQ_RULES 2
#define FL_FQ_MOST_NS 500000000ull
#define FL_FQ_PACKET_BYTES 768 /* memory of a packet there, beside its own bytes */
#define FL_HEADER_BYTES 256    /* of a frame, in which the transport header must begin to be read */
#define FL_FIRST_BYTES 32      /* of a payload that rules may name */

#define FL_RULE_WORDS (FL_MAX_RULES / 64) /* at most 64: a summary is one word */
#define FL_TARGET_WORDS (FL_MAX_TARGETS / 64)
#define FL_WORDS (FL_RULE_WORDS + FL_TARGET_WORDS)

/* Vectors of ports, networks and cgroups have a number, from 1; 0 is the empty one. They are made
 * in chunks, as many as are needed. */
#define FL_SETS_PER_CHUNK 256
#define FL_SET_CHUNKS 64
#define FL_MAX_SETS (FL_SETS_PER_CHUNK * FL_SET_CHUNKS)

/* Seen from the target. */
#define FL_EGRESS 0
#define FL_INGRESS 1
#define FL_LOCAL 0
#define FL_PEER 1

#define FL_PROTO_TCP 0
#define FL_PROTO_UDP 1
#define FL_PROTO_ICMP 2
#define FL_PROTO_OTHER 3
#define FL_PROTOS 4

/* Words of targets, then of rules. A summary's bit is set after its word, and cleared after it. The
 * first cache line has all that a packet needs of which no rule is asked, for the first targets. */
struct fl_bits {
  __u64 rules;   /* bit i is set when word FL_TARGET_WORDS + i is not 0 */
  __u64 targets; /* bit i is set when word i is not 0 */
  __u64 word[FL_WORDS];
} __attribute__((aligned(64)));

/* Which of a packet's properties filters ask for. */
#define FL_ASKS_PROTOCOL 1
#define FL_ASKS_LOCAL_PORT 2
#define FL_ASKS_PEER_PORT 4
#define FL_ASKS_LOCAL_NET 8
#define FL_ASKS_PEER_NET 16
#define FL_ASKS_EXCLUDED 32
#define FL_ASKS_CGROUP 64

struct fl_hook {
  struct fl_bits bits[2]; /* by direction: what looks at this hook at all; written last */
  __u32 asks;    /* FL_ASKS_ of what looks at it, and of what has since it last was of no concern */
  __u32 all_ask; /* FL_ASKS_ that all ask for that look at it */
  __u32 ifindex;
  __u32 lane_ifindex; /* 0: none */
  __u32 fq_ifindex;   /* of the fq lane; 0: none, or not for this hook's packets */
  __u32 netns;        /* inode number of its network namespace */
  __u32 generation;   /* how many interfaces have had this place */
  __u32 outside; /* 1: it is the other end of the target's link, where what the target sends comes
                    in */
  /* The network's default gateways, one of each family at the most, as in fl_packet; 0: none. */
  __u32 gateway[2][4];
};

/* Of the map of hooks by interface, to their index. */
struct fl_hook_key {
  __u32 netns; /* as fl_hook::netns */
  __u32 ifindex;
};

/* What a rule does to the packets that it chooses. A packet's rules act in this order, whatever
 * their own numbers: what is lost meets no rule of another action. */
#define FL_ACT_LOSE 0 /* vanishes, as on a wire */
#define FL_ACT_LANE 1 /* goes through the lane, which knows what this rule does there */
#define FL_ACTS 2

#define FL_ALWAYS (1ull << 32)

/* Which of the packets that a rule matches it acts on: every n-th, or each by a chance that depends
 * on a state, good or bad, which changes by chance before each packet. Chances are in 2^-32. */
struct fl_choice {
  __u64 chance_of_2_32;     /* in the good state, the first */
  __u64 bad_chance_of_2_32; /* in the bad state */
  __u64 to_bad_of_2_32;     /* from good to bad */
  __u64 to_good_of_2_32;    /* from bad to good */
  __u64 every;              /* not 0: packets n, 2n, 3n, ... and nothing of the above */
  __u64 in_bad;             /* the programs' own */
};

/* Connections that began since the rule was armed, or the others; of TCP. */
#define FL_CONNECTIONS_ANY 0
#define FL_CONNECTIONS_NEW 1
#define FL_CONNECTIONS_ESTABLISHED 2

/* What a packet must be for a rule, beside its classes. All 0: any packet. */
struct fl_narrow {
  __u64 dscp; /* bit n: packets of DSCP n; 0: any */
  __u32 min_bytes;
  __u32 max_bytes;      /* of the IP packet; 0: no limit */
  __u32 tcp_flags_mask; /* which flags are looked at, and what they must be; 0: none, */
  __u32 tcp_flags;      /* and the packet need not be TCP */
  /* Shares that are left out, in 2^-32. */
  __u64 packets_out;
  __u64 flows_out;
  __u64 peers_out;
  __u32 min_payload; /* behind the header of TCP or UDP; 0: any packet */
  __u32 first_bytes; /* so many of `first` are the payload's beginning */
  __u8 first[FL_FIRST_BYTES];
  __u64 connections; /* FL_CONNECTIONS_ */
};

/* The one network that a rule's filter names, of peers, when it leaves none out and names no
 * cgroup: a packet for which only this rule is left is compared with it, and not looked up. User
 * space writes it before the rule's bit is set; after that it may only forget it. */
#define FL_SOLE_IPV4 1
#define FL_SOLE_IPV6 2

struct fl_sole_peer {
  __u32 family;     /* FL_SOLE_; 0: there is no such network */
  __u32 address[4]; /* as in fl_packet, as far as the mask goes */
  __u32 mask[4];
};

struct fl_rule {
  __u64 deadline_ns; /* CLOCK_BOOTTIME, as the next */
  __u64 armed_ns;
  __u64 seed;        /* of shares of flows and peers */
  __u64 choice_seed; /* of shares of packets, and of its choice among them */
  __u64 action;      /* FL_ACT_ */
  __u64 exposes;     /* not 0: touches protected packets too */
  __u64 hold_ns; /* not 0: all that the lane does is to hold, so long: the fq lane can as well */
  struct fl_choice choice;
  struct fl_sole_peer sole_peer; /* the tables' own */
  struct fl_narrow narrow;
};

struct fl_fq_epoch {
  __u64 packets_in;
  __u64 packets_out;
  __u64 bytes_in; /* as fl_tables::fq_room counts */
  __u64 bytes_out;
};

/* Memory-mapped. User space writes it while packets pass: a rule's or a target's bit
 * in hook.bits is set last and cleared first, so nothing half-written is ever obeyed. Connections
 * of which the programs remember whose they are follow with the next generation. */
struct fl_tables {
  struct fl_hook hook[FL_MAX_HOOKS];
  struct fl_bits protocol[FL_PROTOS];
  /* By side: those without a port filter; without an address filter, and with one. */
  struct fl_bits any_port[2];
  struct fl_bits any_address[2];
  struct fl_bits by_address[2];
  struct fl_bits excluding; /* those that leave peer addresses out */
  struct fl_bits any_cgroup;
  struct fl_bits by_cgroup;
  __u16 port_set[2][65536]; /* by side: number of the vector of those that name the port */
  struct fl_rule rule[FL_MAX_RULES];
  __u16 own_port[FL_OWN_PORTS]; /* TCP ports that are protected beside SSH's; 0: none */
  __u64 cgroup_levels;          /* bit n: some target's cgroup is n levels below the root */
  __u64 parked;                 /* prefixes parked so far; the programs' own */
  /* Another one after each change of what packets belong to, and before a rule takes another's
   * place. */
  __u32 generation;
  /* Not 0: lane devices cut trains of segments, so each counts as its packets to rules of the
   * lane. */
  __u64 lane_cuts;
  /* What fq lanes may still hold, in bytes, and what each of two epochs has let in and out: the
   * programs' own. User space begins the other epoch every few seconds; what one has let in and not
   * out long after its end got lost. */
  __s64 fq_room;
  __u64 fq_epoch; /* 0 or 1 */
  struct fl_fq_epoch fq_epochs[2];
  __u64 met_midway; /* connections so far that were not known in their middle; the programs' own */
  __u32 chunk_of[FL_MAX_TARGETS][FL_TARGET_CHUNKS]; /* which chunks are whose; 0: none yet */
};

/* How long faults may go on, by CLOCK_BOOTTIME. */
struct fl_lease {
  __u64 heartbeat_until_ns;
  __u64 control_until_ns;
};

/* What covers a prefix, shorter prefixes included: numbers of vectors. */
struct fl_covering {
  __u32 in;  /* of filters that name it */
  __u32 out; /* of filters that leave it out */
};

/* LPM trie of the prefixes that filters name, to struct fl_covering. An IPv4 address is the first
 * of the four words: the kernel compares eight bytes at once. */
#define FL_PREFIX_OF(side, is_ipv4) ((side) | ((is_ipv4) ? 2 : 0))
#define FL_PREFIX_BITS(bits) (32 + (bits)) /* of a key, for so many of its address */

struct fl_prefix_key {
  __u32 prefix_bits;
  __u32 of; /* FL_PREFIX_OF */
  __u32 address[4];
};

/* Counters of a rule since it was armed. */
struct fl_counters {
  __u64 matched;
  __u64 acted; /* packets that it chose and did its action to */
  __u64 lease_expired;
  /* The lane's. */
  __u64 lane_dropped;
  __u64 delay_given_ns;
  __u64 delay_asked_ns;
  __u64 delays_measured; /* packets whose delay is in these two */
  __u64 lane_acted;      /* packets that the lane chose by itself and did the rule's part to */
  __u64 left_alone;      /* packets of the filter's that are protected, or that no lane can hold */
  __u64 link_bytes;      /* let out by a slower link while more was waiting, */
  __u64 link_busy_ns;    /* and how long that took */
  __u64 offered;         /* packets that a share of packets was taken of: numbers them */
  __u64 fq_sent;         /* those of `acted` that went to the fq lane or found no room there */
  __u64 fq_in[2];        /* by epoch, as fl_fq_epoch */
  __u64 fq_out[2];
};

/* Why a connection cannot be measured. */
#define FL_REASON_NONE 0
#define FL_REASON_PIPELINED 1
#define FL_REASON_HTTP2 2
#define FL_REASON_QUIC 3
#define FL_REASON_UNKNOWN_ROLE 4
#define FL_REASON_NO_ROOM 5 /* a time was measured, and there was no chunk for it */
#define FL_REASONS 8        /* a power of two */

/* A target's traffic, in parts by processor: two that count in one place wait for each other. */
#define FL_TRAFFIC_PARTS 8
#define FL_TRAFFIC_PART(target, processor) \
  ((target) * FL_TRAFFIC_PARTS + (processor) % FL_TRAFFIC_PARTS)

struct fl_traffic {
  __u64 packets;
  __u64 bytes;
} __attribute__((aligned(64)));

struct fl_target_stats {
  __u64 samples;                    /* not 0: there may be times in its histogram */
  __u64 not_measurable[FL_REASONS]; /* turns, by reason */
  __u64 events[FL_EVENTS];
  __u64 told[FL_TELLS]; /* how many there were since user space last read, by type */
};

/* Stands before each frame on its way to the lane. */
struct fl_lane_prefix {
  __u64 t0_ns; /* CLOCK_BOOTTIME, when the packet met the program */
  __u32 flow;  /* hash of the packet's flow */
  /* The device puts a VLAN tag here, 12 bytes into the prefix: what follows begins with no byte
   * that a tag begins with. */
  __u8 rule_count;
  __u8 direction : 1;
  __u8 tagged : 1; /* the packet has a VLAN tag */
  __u16 hook;
  __u16 rule[FL_MAX_RULES_PER_PACKET];
};

/* The kernel puts no prefix before a packet of more than 16 KB that is not GSO, as loopback's are.
 * Its prefix is parked in this array, and an 802.1AD tag on the packet says in which place. More
 * places than a lane device's queue holds frames: none is taken twice. */
#define FL_PARKED 16384

/* What is attached at a hook says in this place of skb->cb which it is, and which direction; the
 * others are for packets that come back from a lane. */
#define FL_HOOK_CB 2
#define FL_HOOK_AT(hook, direction) ((hook) << 1 | (direction))

/* On its way back a frame says where it belongs by an outer 802.1AD tag, which the kernel moves
 * into the packet's metadata, so that taking it off costs nothing. */
#define FL_RETURN_ETHERTYPE 0x88A8
#define FL_RETURN_TAG(hook, direction) ((((hook) << 1) | (direction)) + 1) /* below 4,096 */

#endif
