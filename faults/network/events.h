/* What is counted of a target's connections beside request-to-response times. Shared by kernel and
 * user space. C and C++. */
#ifndef FAULTLINE_NETWORK_EVENTS_H
#define FAULTLINE_NETWORK_EVENTS_H

#include <linux/types.h>

#include "base/log_linear.h"

/* Index of fl_target_stats.events. */
#define FL_EVENT_NONE 0
#define FL_EVENT_HANDSHAKE 1          /* not 0: there may be times in its histogram */
#define FL_EVENT_UNPAIRED_HANDSHAKE 2 /* acceptances whose request was not seen, or forgotten */
#define FL_EVENT_REFUSED 3            /* plus direction of the RST that answered a SYN */
#define FL_EVENT_RESET 5              /* plus direction of any other RST */
#define FL_EVENT_HTTP 7               /* plus the status class of an answer, from 0 (1xx) to 4 */
#define FL_EVENT_RETRANSMIT 12
#define FL_EVENT_RTT 13    /* the same of round-trip times */
#define FL_EVENT_DROP 14   /* packets in fl_drops */
#define FL_EVENT_FAILED 15 /* plus whether the connection had been open */
#define FL_EVENT_LOST 17   /* of those told one by one: there was no room */
#define FL_EVENTS 32       /* a power of two */

/* Of these each one is told too, as long as there is room: struct fl_event. */
#define FL_TELL_REFUSED 0
#define FL_TELL_RESET 1
#define FL_TELL_DROP 2
#define FL_TELL_FAILED 3
#define FL_TELLS 4 /* a power of two */
/* Of each target and type between two readings; so a flood of one hides no other. */
#define FL_TELL_MOST 8
#define FL_EVENT_RING_BYTES (32 * 1024)

struct fl_event {
  __u64 at_ns;         /* CLOCK_BOOTTIME */
  __u32 address[2][4]; /* as in fl_packet */
  __u16 local_port;
  __u16 peer_port;
  __u8 protocol; /* FL_PROTO_ */
  __u8 direction;
  __u8 type;    /* FL_TELL_ */
  __u8 open;    /* of a failed connection: it had been open */
  __u32 reason; /* of a drop the kernel's number, of a failed connection the errno */
  __u32 target;
};

/* A target's histograms. */
#define FL_HIST_LATENCY 0
#define FL_HIST_HANDSHAKE 1
#define FL_HIST_RTT 2
#define FL_HISTS 3

/* Drops by reason; what is beyond counts in the last place. */
#define FL_DROP_REASONS 256

/* A target's counters: its histograms, one behind the other, then its drops. Most of them stay 0,
 * so they live in chunks, which the programs take out of a common store when they need one. */
#define FL_COUNTERS_OF_HIST(hist) ((hist) * FL_HIST_BUCKETS)
#define FL_COUNTERS_OF_DROPS FL_COUNTERS_OF_HIST(FL_HISTS)
#define FL_CHUNK_COUNTERS 64
#define FL_TARGET_CHUNKS ((FL_COUNTERS_OF_DROPS + FL_DROP_REASONS) / FL_CHUNK_COUNTERS)
#define FL_CHUNKS 4096 /* number 0 is none's */

struct fl_chunk {
  __u64 count[FL_CHUNK_COUNTERS];
};

/* How long a rule's packets have waited in a lane, since user space last looked: a histogram, in
 * chunks of a store of its own, so that no fault takes the room of a target's counters. */
#define FL_DELAY_CHUNKS (FL_HIST_BUCKETS / FL_CHUNK_COUNTERS)

struct fl_delays {
  __u64 no_room; /* packets for which there was no chunk */
  __u32 open;    /* 0: nobody asks any more, and nothing is counted */
  __u32 number[FL_DELAY_CHUNKS];
};

#endif
