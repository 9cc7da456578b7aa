/* The one file that speaks libraft (raft.h does not compile as C++): its pure raft_step core behind
 * values. One call per event; what must follow from it comes back in fl_raft_update. Entry contents
 * are never given to the core, except configurations.
 *
 * The caller's contract:
 * 1. `now_ms` never goes back.
 * 2. hard_state: term and vote are durable before any message of this or a later update leaves.
 * 3. entries: the log is replaced from entries_index on; once durable, fl_raft_persisted_entries
 *    tells the core, with an index that is still in the log, durable with its present term, and
 *    above status.last_stored.
 * 4. install_snapshot: the log and the state are replaced by the snapshot just received; once
 *    durable, fl_raft_persisted_snapshot.
 * 5. Messages go out without content: the caller adds entries and snapshot.
 * 6. Once a configuration entry is committed: fl_raft_committed_configuration.
 * The library is built without asserts: a wrong call corrupts it silently. raft/filters.h stands in
 * front of fl_raft_receive. */
#ifndef FAULTLINE_RAFT_LIBRAFT_CORE_H
#define FAULTLINE_RAFT_LIBRAFT_CORE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fl_raft fl_raft;

enum fl_raft_role { FL_RAFT_FOLLOWER, FL_RAFT_CANDIDATE, FL_RAFT_LEADER };
enum fl_raft_entry_type { FL_RAFT_COMMAND, FL_RAFT_BARRIER, FL_RAFT_CHANGE };
enum fl_raft_message_type {
  FL_RAFT_APPEND_ENTRIES,
  FL_RAFT_APPEND_RESULT,
  FL_RAFT_VOTE_REQUEST,
  FL_RAFT_VOTE_RESULT,
  FL_RAFT_INSTALL_SNAPSHOT,
  FL_RAFT_TIMEOUT_NOW
};
enum fl_raft_catch_up {
  FL_RAFT_CATCH_UP_NONE,
  FL_RAFT_CATCH_UP_RUNNING,
  FL_RAFT_CATCH_UP_ABORTED,
  FL_RAFT_CATCH_UP_FINISHED
};

struct fl_raft_server {
  uint64_t id;
  const char* address;
  bool voter; /* else it has the log, without voting or counting */
};

struct fl_raft_configuration {
  const struct fl_raft_server* servers;
  unsigned n;
};

struct fl_raft_entry {
  uint64_t term;
  enum fl_raft_entry_type type;
  struct fl_raft_configuration configuration; /* of FL_RAFT_CHANGE */
};

struct fl_raft_snapshot {
  uint64_t index;
  uint64_t term;
  uint64_t configuration_index;
  struct fl_raft_configuration configuration;
};

struct fl_raft_message {
  enum fl_raft_message_type type;
  uint64_t peer_id; /* sender, or receiver */
  const char* peer_address;
  uint64_t term;
  /* APPEND_ENTRIES */
  uint64_t prev_index;
  uint64_t prev_term;
  uint64_t leader_commit;
  unsigned n_entries;
  const struct fl_raft_entry* entries; /* received ones only */
  /* APPEND_RESULT */
  uint64_t rejected;
  /* APPEND_RESULT, VOTE_REQUEST and TIMEOUT_NOW */
  uint64_t last_index;
  uint64_t last_term;
  /* VOTE_REQUEST and VOTE_RESULT */
  bool pre_vote;
  bool granted;
  bool disrupt_leader; /* VOTE_REQUEST: the leader itself asked for this election */
  /* INSTALL_SNAPSHOT, received ones only */
  struct fl_raft_snapshot snapshot;
};

/* Valid until the next call for the same fl_raft. */
struct fl_raft_update {
  bool hard_state;
  uint64_t entries_index; /* 0: no entries */
  unsigned n_entries;     /* the last n of those received or submitted */
  bool barrier;           /* the entry is one barrier of the present term, made by the core */
  bool install_snapshot;
  const struct fl_raft_message* messages;
  unsigned n_messages;
};

struct fl_raft_status {
  enum fl_raft_role role;
  bool in_pre_vote; /* of a candidate */
  bool installing;  /* a received snapshot is being made durable */
  uint64_t term;
  uint64_t voted_for;
  uint64_t leader_id; /* 0: none known */
  const char* leader_address;
  uint64_t commit_index;
  uint64_t last_index;
  uint64_t last_stored;
  uint64_t offset; /* entries up to here are no longer in the log */
  uint64_t snapshot_index;
  uint64_t snapshot_term;
  uint64_t timeout_ms; /* when fl_raft_timeout is due */
  /* Leader: no commands may be submitted while it hands over to this server; 0: it does not. */
  uint64_t transferee;
  bool promoting; /* leader: a server is catching up */
};

struct fl_raft_options {
  uint64_t id;
  const char* address;
  unsigned seed;
  unsigned election_timeout_ms;
  unsigned heartbeat_ms;
  unsigned install_snapshot_timeout_ms;
  unsigned max_inflight_entries;
};

/* NULL when out of memory. */
fl_raft* fl_raft_new(const struct fl_raft_options* options);
void fl_raft_free(fl_raft* raft);

/* All return 0 or a code for fl_raft_error; after an error the core must not be used further, but
 * for fl_raft_submit, which then has changed nothing. */
int fl_raft_start(fl_raft* raft, uint64_t now_ms, uint64_t term, uint64_t voted_for,
                  const struct fl_raft_snapshot* snapshot, uint64_t first_index,
                  const struct fl_raft_entry* entries, unsigned n_entries,
                  struct fl_raft_update* update);
int fl_raft_receive(fl_raft* raft, uint64_t now_ms, const struct fl_raft_message* message,
                    struct fl_raft_update* update);
int fl_raft_submit(fl_raft* raft, uint64_t now_ms, unsigned n_commands,
                   struct fl_raft_update* update);
/* Leader: begins a change of membership, alone in its step. Only while none is uncommitted, no
 * server is catching up and leadership is not being transferred. Servers that stay keep their
 * order. */
int fl_raft_submit_configuration(fl_raft* raft, uint64_t now_ms,
                                 const struct fl_raft_configuration* configuration,
                                 struct fl_raft_update* update);
/* Leader: measures whether server `id`, of the configuration and no voter, keeps up with the log;
 * fl_raft_catch_up_state tells. Under the same conditions as a change. */
int fl_raft_catch_up(fl_raft* raft, uint64_t now_ms, uint64_t id, struct fl_raft_update* update);
/* Leader: hands over to voter `id`, another one; status.transferee until done or given up. */
int fl_raft_transfer(fl_raft* raft, uint64_t now_ms, uint64_t id, struct fl_raft_update* update);
int fl_raft_persisted_entries(fl_raft* raft, uint64_t now_ms, uint64_t index,
                              struct fl_raft_update* update);
int fl_raft_persisted_snapshot(fl_raft* raft, uint64_t now_ms,
                               const struct fl_raft_snapshot* snapshot,
                               struct fl_raft_update* update);
/* A snapshot of our own state is durable; `trailing` entries before its end stay in the log. */
int fl_raft_took_snapshot(fl_raft* raft, uint64_t now_ms, const struct fl_raft_snapshot* snapshot,
                          unsigned trailing, struct fl_raft_update* update);
int fl_raft_committed_configuration(fl_raft* raft, uint64_t now_ms, uint64_t index,
                                    const struct fl_raft_configuration* configuration,
                                    struct fl_raft_update* update);
int fl_raft_timeout(fl_raft* raft, uint64_t now_ms, struct fl_raft_update* update);

/* At any time between steps. */
void fl_raft_set_timeouts(fl_raft* raft, unsigned election_timeout_ms, unsigned heartbeat_ms,
                          unsigned install_snapshot_timeout_ms);

/* Pointers in it are valid until the next call. */
void fl_raft_get_status(fl_raft* raft, struct fl_raft_status* status);
/* Leader: how far the log of server `id` is known to equal ours; 0 otherwise. */
uint64_t fl_raft_match_index(const fl_raft* raft, uint64_t id);
enum fl_raft_catch_up fl_raft_catch_up_state(const fl_raft* raft, uint64_t id);

const char* fl_raft_error(int code);

#ifdef __cplusplus
}
#endif

#endif /* FAULTLINE_RAFT_LIBRAFT_CORE_H */
