/* The client library in C: for Swift and whatever else can call C.
 *
 * Calls and watches speak JSON: the messages of api/chaos/v1 as protobuf's JSON mapping has them
 * (lowerCamelCase names, 64-bit integers as text, durations as "1.5s", times as RFC 3339, enums by
 * name, fields with their default left out). Measurements, which come a thousand a second, are
 * structs.
 *
 * Errors. A status holds gRPC's code, a stable reason in upper case, a sentence, and for each wrong
 * field what was given and what is allowed. Beside the server's reasons: UNREACHABLE, NO_ANSWER,
 * CONNECTION_LOST (client/client.h), MALFORMED_REQUEST (the JSON is not that message),
 * UNKNOWN_METHOD, TOO_MANY_CALLS (128 of one client run), ALREADY_ASKED, NULL_ARGUMENT.
 *
 * Ownership. A handle is the caller's until the function that gives it back (close, release); all
 * may be given back at any time, also inside a callback and while a call runs. What a callback is
 * given is borrowed: it is gone when the callback returns. Strings are UTF-8, end with a NUL and
 * are never NULL, unless a comment says so. A handle that is NULL is refused with NULL_ARGUMENT,
 * and giving it back or cancelling it does nothing; one that was given back must not be used.
 *
 * Callbacks. Each function with a callback calls it exactly once, also when it fails or is
 * cancelled, so that `context` can be freed there. It comes from a thread of the library, or from
 * the calling thread before the function returns. The library holds no lock meanwhile: a callback
 * may use any function here. While it runs, its own call or stream waits, and nothing else. A
 * callback that is NULL is not called; a stream's next then does nothing.
 *
 * Threads. Every function is safe from any thread.
 *
 * Cancelling ends a call or a stream with code CANCELLED and reaches the server. It is
 * asynchronous: the callback still comes. Closing a client cancels all that it has begun.
 */
#ifndef FAULTLINE_CLIENT_FAULTLINE_H_
#define FAULTLINE_CLIENT_FAULTLINE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_EXPORT __attribute__((visibility("default")))

typedef struct fl_client fl_client;
typedef struct fl_call fl_call;
typedef struct fl_watch fl_watch;
typedef struct fl_metrics fl_metrics;

/* "parameters.delay_ms", "99999999", "0 to 60000 ms". */
typedef struct fl_violation {
  const char* field;
  const char* value;
  const char* allowed;
} fl_violation;

typedef struct fl_fact {
  const char* name;
  const char* value;
} fl_fact;

typedef struct fl_status {
  int code; /* of gRPC; 0 is OK */
  const char* reason;
  const char* message;
  const fl_violation* violations;
  size_t violation_count;
  const fl_fact* metadata;
  size_t metadata_count;
  int64_t retry_after_ms; /* 0: not said */
} fl_status;

typedef struct fl_options {
  /* "a:7400,b:7400"; NULL or empty: the variable FAULTLINE_ADDRESS, else 127.0.0.1:7400. */
  const char* addresses;
  /* For mutual TLS, all three or none (NULL or empty): a PEM file's path, or the PEM text. */
  const char* ca;
  const char* certificate;
  const char* key;
  /* Of a call with all its attempts, and how long a stream looks for a node: up to a day; 0: 10 s.
   */
  int64_t timeout_ms;
} fl_options;

/* With OK the response's JSON, of `size` bytes; otherwise it is empty. */
typedef void (*fl_done)(void* context, const fl_status* status, const char* json, size_t size);

/* `options` NULL: all defaults. Makes no connection yet. NULL after `failed` was called
 * (INVALID_ARGUMENT with the field: an address or a timeout that is none, TLS files that cannot
 * serve, an address beyond loopback without TLS); it is not called otherwise. */
FL_EXPORT fl_client* fl_client_open(const fl_options* options, void* context, fl_done failed);
FL_EXPORT void fl_client_close(fl_client* client);

/* A unary method of ChaosController or ClusterService by its name ("StartExperiment") with its
 * request as JSON of `size` bytes. Never NULL. */
FL_EXPORT fl_call* fl_call_begin(fl_client* client, const char* method, const char* json,
                                 size_t size, void* context, fl_done done);
FL_EXPORT void fl_call_cancel(fl_call* call);
/* Does not cancel. */
FL_EXPORT void fl_call_release(fl_call* call);

/* A stream that broke and was taken up again: why, and by which address. NULL when it was not. */
typedef struct fl_interruption {
  const char* reason;
  const char* message;
  const char* next_address;
} fl_interruption;

/* WatchExperiments. Mistakes in the request come with the first answer. Never NULL. */
FL_EXPORT fl_watch* fl_watch_open(fl_client* client, const char* json, size_t size);
/* With code OK a WatchExperimentsResponse, or size 0 when there is only an interruption; with any
 * other the stream's end: OUT_OF_RANGE when nothing can follow. */
typedef void (*fl_watch_answer)(void* context, const fl_status* status, const char* json,
                                size_t size, const fl_interruption* interruption);
/* One at a time. */
FL_EXPORT void fl_watch_next(fl_watch* watch, void* context, fl_watch_answer answer);
FL_EXPORT void fl_watch_cancel(fl_watch* watch);
/* Cancels too. */
FL_EXPORT void fl_watch_close(fl_watch* watch);

/* As chaos.v1.FaultCounters, of the update's experiment. */
typedef struct fl_fault_counters {
  uint32_t fault_index;
  uint64_t matched;
  uint64_t delayed;
  uint64_t dropped;
  uint64_t lease_expired;
  uint64_t lane_dropped;
  uint64_t delay_given_ns;
  uint64_t delay_asked_ns;
  uint64_t queued;
  uint64_t duplicated;
  uint64_t corrupted;
  uint64_t reordered;
  uint64_t delays_measured;
  uint64_t link_bytes;
  uint64_t link_busy_ns;
} fl_fault_counters;

/* As chaos.v1.FaultDelays, without its histogram: how long a fault's packets have waited in a lane,
 * over the same time as the update's percentiles. */
typedef struct fl_fault_delays {
  const char* experiment_id;
  uint32_t fault_index;
  uint64_t packets; /* that the percentiles are of */
  double p50_ms;
  double p99_ms;
  uint64_t no_room; /* of the update's interval: not among `packets` */
} fl_fault_delays;

/* As chaos.v1.ExperimentEnd. */
typedef struct fl_end {
  const char* status; /* "EXPERIMENT_STATUS_COMPLETED" or "EXPERIMENT_STATUS_FAILED" */
  const char* phase;
  const char* reason;
  int64_t ended_at_ns; /* Unix time */
} fl_end;

/* As chaos.v1.MetricUpdate, without its histograms. No batch is lost without a word: from one
 * update of a series (experiment, target and source) to the next the sequence grows by 1 +
 * merged_batches + missed_batches, over a break too. With `end` it is no measurement but the last
 * update of an experiment that the request names, and comes once, over a break too: only
 * experiment_id and timestamp_ns are set besides, the rest is 0 or empty. */
typedef struct fl_update {
  const char* experiment_id;
  const char* target_id;
  const char* agent_id;
  uint64_t incarnation;
  uint64_t sequence;
  int64_t timestamp_ns; /* Unix time on the agent's clock; of an end its ended_at_ns */
  double p50_latency_ms;
  double p99_latency_ms;
  uint64_t request_count;
  int64_t packet_drops;
  uint64_t packets;
  uint64_t bytes;
  uint64_t merged_batches;
  uint64_t missed_batches;
  int measurable;
  const char* not_measurable_reason;
  const fl_fault_counters* faults;
  size_t fault_count;
  const fl_fault_delays* fault_delays; /* only of faults with such packets */
  size_t fault_delay_count;
  const fl_end* end; /* NULL: a measurement */
} fl_update;

/* SubscribeToMetrics. 1,024 updates are read ahead; when nobody asks for them the server merges
 * what follows and counts it in merged_batches. Never NULL. */
FL_EXPORT fl_metrics* fl_metrics_open(fl_client* client, const char* json, size_t size);
/* With code OK up to the number asked for, in their order, or none when there is only an
 * interruption; with any other the stream's end. */
typedef void (*fl_metrics_answer)(void* context, const fl_status* status, const fl_update* updates,
                                  size_t count, const fl_interruption* interruption);
/* One at a time; at least 1 and up to `most` updates, as soon as there is one. */
FL_EXPORT void fl_metrics_next(fl_metrics* metrics, size_t most, void* context,
                               fl_metrics_answer answer);
FL_EXPORT void fl_metrics_cancel(fl_metrics* metrics);
/* Cancels too. */
FL_EXPORT void fl_metrics_close(fl_metrics* metrics);

/* Handles, calls, streams and threads that there are: 0 when all was given back and all cancelled
 * work has ended, which takes a moment. */
FL_EXPORT int64_t fl_alive(void);

#ifdef __cplusplus
}
#endif

#endif /* FAULTLINE_CLIENT_FAULTLINE_H_ */
