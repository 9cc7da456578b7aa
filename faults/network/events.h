/* What is counted of a target's connections beside request-to-response times. Shared by kernel and
 * user space. C and C++. */
#ifndef FAULTLINE_NETWORK_EVENTS_H
#define FAULTLINE_NETWORK_EVENTS_H

/* Index of fl_target_stats.events. */
#define FL_EVENT_NONE 0
#define FL_EVENT_HANDSHAKE 1          /* times in its histogram */
#define FL_EVENT_UNPAIRED_HANDSHAKE 2 /* acceptances whose request was not seen, or forgotten */
#define FL_EVENT_REFUSED 3            /* plus direction of the RST that answered a SYN */
#define FL_EVENT_RESET 5              /* plus direction of any other RST */
#define FL_EVENT_HTTP 7               /* plus the status class of an answer, from 0 (1xx) to 4 */
#define FL_EVENT_RETRANSMIT 12
#define FL_EVENT_RTT 13  /* round-trip times in their histogram */
#define FL_EVENT_DROP 14 /* packets in fl_drops */
#define FL_EVENTS 16     /* a power of two */

/* A target's histograms. */
#define FL_HIST_LATENCY 0
#define FL_HIST_HANDSHAKE 1
#define FL_HIST_RTT 2
#define FL_HISTS 3
#define FL_HIST_AT(hist, target) (((hist) * FL_MAX_TARGETS + (target)) * FL_HIST_BUCKETS)

/* Drops by reason; what is beyond counts in the last place. */
#define FL_DROP_REASONS 256

#endif
