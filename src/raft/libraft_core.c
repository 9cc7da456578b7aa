#include "raft/libraft_core.h"

#include <stdlib.h>
#include <string.h>

#include "raft/libraft_convert.h"

/* The core wants a non-null batch of submitted entries, and never reads it. */
static char submitted_batch;

fl_raft* fl_raft_new(const struct fl_raft_options* options) {
  fl_raft* raft = calloc(1, sizeof *raft);
  if (raft == NULL) return NULL;
  if (raft_init(&raft->raft, NULL, NULL, options->id, options->address) != 0) {
    free(raft);
    return NULL;
  }
  raft->raft.tracer = NULL;
  raft_seed(&raft->raft, options->seed);
  fl_raft_set_timeouts(raft, options->election_timeout_ms, options->heartbeat_ms,
                       options->install_snapshot_timeout_ms);
  raft_set_max_inflight_entries(&raft->raft, options->max_inflight_entries);
  raft_set_pre_vote(&raft->raft, true);
  return raft;
}

void fl_raft_free(fl_raft* raft) {
  if (raft == NULL) return;
  raft_close(&raft->raft, NULL);
  free(raft->messages);
  free(raft);
}

static int step(fl_raft* raft, uint64_t now_ms, struct raft_event* event,
                struct fl_raft_update* update) {
  struct raft_update out;
  memset(&out, 0, sizeof out);
  memset(update, 0, sizeof *update);
  event->time = now_ms;
  int rv = raft_step(&raft->raft, event, &out);
  if (rv != 0) return rv;
  update->hard_state = (out.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) != 0;
  if (out.flags & (RAFT_UPDATE_ENTRIES)) {
    update->entries_index = out.entries.index;
    update->n_entries = out.entries.n;
    update->barrier = out.entries.batch == &raft->raft.barrier;
    if (update->barrier) raft_free(raft->raft.barrier.batch);
  }
  if (out.flags & (RAFT_UPDATE_SNAPSHOT)) {
    update->install_snapshot = true;
    raft_configuration_close(&out.snapshot.metadata.configuration);
  }
  if (!(out.flags & (RAFT_UPDATE_MESSAGES))) return 0;
  if (out.messages.n > raft->messages_capacity) {
    struct fl_raft_message* messages =
        realloc(raft->messages, out.messages.n * sizeof *raft->messages);
    if (messages == NULL) return RAFT_NOMEM;
    raft->messages = messages;
    raft->messages_capacity = out.messages.n;
  }
  update->messages = raft->messages;
  for (unsigned i = 0; i < out.messages.n; i++) {
    if (fl_raft_export_message(&out.messages.batch[i], &raft->messages[update->n_messages])) {
      update->n_messages++;
    }
  }
  return 0;
}

int fl_raft_start(fl_raft* raft, uint64_t now_ms, uint64_t term, uint64_t voted_for,
                  const struct fl_raft_snapshot* snapshot, uint64_t first_index,
                  const struct fl_raft_entry* entries, unsigned n_entries,
                  struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_START};
  struct raft_snapshot_metadata metadata;
  event.start.term = term;
  event.start.voted_for = voted_for;
  event.start.start_index = first_index;
  event.start.n_entries = n_entries;
  int rv = fl_raft_encode_entries(entries, n_entries, &event.start.entries);
  if (rv == 0 && snapshot != NULL) {
    rv = fl_raft_copy_snapshot(snapshot, &metadata);
    event.start.metadata = &metadata;
  }
  if (rv == 0) rv = step(raft, now_ms, &event, update);
  fl_raft_free_entries(event.start.entries, n_entries);
  return rv;
}

static int receive_entries(fl_raft* raft, uint64_t now_ms, const struct fl_raft_message* message,
                           struct raft_message* to, struct raft_event* event,
                           struct fl_raft_update* update) {
  struct raft_append_entries* append = &to->append_entries;
  to->type = RAFT_APPEND_ENTRIES;
  append->term = message->term;
  append->prev_log_index = message->prev_index;
  append->prev_log_term = message->prev_term;
  append->leader_commit = message->leader_commit;
  append->n_entries = message->n_entries;
  struct raft_entry* entries;
  int rv = fl_raft_encode_entries(message->entries, message->n_entries, &entries);
  if (rv != 0) return rv;
  void* batch = NULL;
  if (entries != NULL) {
    batch = raft_malloc(1);
    entries[0].batch = batch;
  }
  append->entries = entries;
  rv = step(raft, now_ms, event, update);
  /* The core frees the batch unless it asks for the entries to be made durable. */
  if (rv == 0 && update->entries_index != 0) raft_free(batch);
  fl_raft_free_entries(entries, message->n_entries);
  return rv;
}

/* Raft's votes do not depend on the voter's own configuration, which may be old (Ongaro's
 * dissertation, 4.1); the core refuses unless its own says that it votes. Then leaders could be
 * impossible: promoted servers that were not told yet would be missing from every majority. So for
 * the time of this step the core believes that it is a voter. */
static int receive_vote_request(fl_raft* raft, uint64_t now_ms, struct raft_event* event,
                                struct fl_raft_update* update) {
  struct raft* r = &raft->raft;
  struct raft_server self = {.id = r->id, .address = r->address, .role = RAFT_VOTER};
  struct raft_configuration saved = r->configuration;
  bool votes = raft_state(r) == RAFT_LEADER;
  for (unsigned i = 0; i < saved.n; i++) {
    votes |= saved.servers[i].id == r->id && saved.servers[i].role == RAFT_VOTER;
  }
  if (votes) return step(raft, now_ms, event, update);
  r->configuration.servers = &self;
  r->configuration.n = 1;
  int rv = step(raft, now_ms, event, update);
  r->configuration = saved;
  return rv;
}

int fl_raft_receive(fl_raft* raft, uint64_t now_ms, const struct fl_raft_message* message,
                    struct fl_raft_update* update) {
  struct raft_message to;
  memset(&to, 0, sizeof to);
  to.server_id = message->peer_id;
  to.server_address = message->peer_address;
  struct raft_event event = {.type = RAFT_RECEIVE};
  event.receive.message = &to;
  switch (message->type) {
    case FL_RAFT_APPEND_ENTRIES:
      return receive_entries(raft, now_ms, message, &to, &event, update);
    case FL_RAFT_APPEND_RESULT:
      to.type = RAFT_APPEND_ENTRIES_RESULT;
      to.append_entries_result.version = 2;
      to.append_entries_result.term = message->term;
      to.append_entries_result.rejected = message->rejected;
      to.append_entries_result.last_log_index = message->last_index;
      break;
    case FL_RAFT_VOTE_REQUEST:
      to.type = RAFT_REQUEST_VOTE;
      to.request_vote.version = 2;
      to.request_vote.term = message->term;
      to.request_vote.candidate_id = message->peer_id;
      to.request_vote.last_log_index = message->last_index;
      to.request_vote.last_log_term = message->last_term;
      to.request_vote.pre_vote = message->pre_vote;
      to.request_vote.disrupt_leader = message->disrupt_leader;
      return receive_vote_request(raft, now_ms, &event, update);
    case FL_RAFT_TIMEOUT_NOW:
      to.type = RAFT_TIMEOUT_NOW;
      to.timeout_now.version = 1;
      to.timeout_now.term = message->term;
      to.timeout_now.last_log_index = message->last_index;
      to.timeout_now.last_log_term = message->last_term;
      break;
    case FL_RAFT_VOTE_RESULT:
      to.type = RAFT_REQUEST_VOTE_RESULT;
      to.request_vote_result.version = 2;
      to.request_vote_result.term = message->term;
      to.request_vote_result.vote_granted = message->granted;
      to.request_vote_result.pre_vote = message->pre_vote;
      break;
    case FL_RAFT_INSTALL_SNAPSHOT: {
      to.type = RAFT_INSTALL_SNAPSHOT;
      to.install_snapshot.term = message->term;
      to.install_snapshot.last_index = message->snapshot.index;
      to.install_snapshot.last_term = message->snapshot.term;
      to.install_snapshot.conf_index = message->snapshot.configuration_index;
      int rv =
          fl_raft_copy_configuration(&message->snapshot.configuration, &to.install_snapshot.conf);
      if (rv != 0) return rv;
      break;
    }
  }
  return step(raft, now_ms, &event, update);
}

int fl_raft_submit(fl_raft* raft, uint64_t now_ms, unsigned n_commands,
                   struct fl_raft_update* update) {
  struct raft_entry* entries = calloc(n_commands, sizeof *entries);
  if (entries == NULL) return RAFT_NOMEM;
  for (unsigned i = 0; i < n_commands; i++) {
    entries[i].type = RAFT_COMMAND;
    entries[i].term = raft_current_term(&raft->raft);
    entries[i].batch = &submitted_batch;
  }
  struct raft_event event = {.type = RAFT_SUBMIT};
  event.submit.entries = entries;
  event.submit.n = n_commands;
  int rv = step(raft, now_ms, &event, update);
  free(entries);
  return rv;
}

int fl_raft_submit_configuration(fl_raft* raft, uint64_t now_ms,
                                 const struct fl_raft_configuration* configuration,
                                 struct fl_raft_update* update) {
  struct fl_raft_entry from = {.term = raft_current_term(&raft->raft), .type = FL_RAFT_CHANGE};
  from.configuration = *configuration;
  struct raft_entry* entry;
  int rv = fl_raft_encode_entries(&from, 1, &entry);
  if (rv != 0) return rv;
  entry->batch = &submitted_batch;
  struct raft_event event = {.type = RAFT_SUBMIT};
  event.submit.entries = entry;
  event.submit.n = 1;
  rv = step(raft, now_ms, &event, update);
  fl_raft_free_entries(entry, 1);
  return rv;
}

int fl_raft_catch_up(fl_raft* raft, uint64_t now_ms, uint64_t id, struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_CATCH_UP};
  event.catch_up.server_id = id;
  return step(raft, now_ms, &event, update);
}

int fl_raft_transfer(fl_raft* raft, uint64_t now_ms, uint64_t id, struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_TRANSFER};
  event.transfer.server_id = id;
  return step(raft, now_ms, &event, update);
}

int fl_raft_persisted_entries(fl_raft* raft, uint64_t now_ms, uint64_t index,
                              struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};
  event.persisted_entries.index = index;
  return step(raft, now_ms, &event, update);
}

int fl_raft_persisted_snapshot(fl_raft* raft, uint64_t now_ms,
                               const struct fl_raft_snapshot* snapshot,
                               struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT};
  event.persisted_snapshot.last = true;
  int rv = fl_raft_copy_snapshot(snapshot, &event.persisted_snapshot.metadata);
  return rv != 0 ? rv : step(raft, now_ms, &event, update);
}

int fl_raft_took_snapshot(fl_raft* raft, uint64_t now_ms, const struct fl_raft_snapshot* snapshot,
                          unsigned trailing, struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_SNAPSHOT};
  event.snapshot.trailing = trailing;
  int rv = fl_raft_copy_snapshot(snapshot, &event.snapshot.metadata);
  return rv != 0 ? rv : step(raft, now_ms, &event, update);
}

int fl_raft_committed_configuration(fl_raft* raft, uint64_t now_ms, uint64_t index,
                                    const struct fl_raft_configuration* configuration,
                                    struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_CONFIGURATION};
  event.configuration.index = index;
  int rv = fl_raft_copy_configuration(configuration, &event.configuration.conf);
  return rv != 0 ? rv : step(raft, now_ms, &event, update);
}

int fl_raft_timeout(fl_raft* raft, uint64_t now_ms, struct fl_raft_update* update) {
  struct raft_event event = {.type = RAFT_TIMEOUT};
  struct raft* r = &raft->raft;
  /* The core, once past its pre-vote (or asked by the leader to do without), never goes back to it:
   * a candidate that reaches nobody would raise its term at every timeout, and depose the leader
   * when it comes back. */
  if (raft_state(r) == RAFT_CANDIDATE && now_ms >= raft_timeout(r)) {
    r->candidate_state.in_pre_vote = r->pre_vote;
    r->candidate_state.disrupt_leader = false;
  }
  /* A follower that does not become a candidate now, as a server without a vote, would believe in
   * its leader for ever, and refuse its vote to others: promoted, but not told yet, it would be
   * missing in a majority. */
  if (raft_state(r) == RAFT_FOLLOWER && now_ms >= raft_timeout(r)) {
    raft_free(r->follower_state.current_leader.address);
    r->follower_state.current_leader.address = NULL;
    r->follower_state.current_leader.id = 0;
  }
  return step(raft, now_ms, &event, update);
}
