#include "raft/libraft_convert.h"

#include <stdlib.h>
#include <string.h>

int fl_raft_copy_configuration(const struct fl_raft_configuration* from,
                               struct raft_configuration* to) {
  raft_configuration_init(to);
  for (unsigned i = 0; i < from->n; i++) {
    const struct fl_raft_server* server = &from->servers[i];
    int rv = raft_configuration_add(to, server->id, server->address,
                                    server->voter ? RAFT_VOTER : RAFT_STANDBY);
    if (rv != 0) {
      raft_configuration_close(to);
      return rv;
    }
  }
  return 0;
}

int fl_raft_copy_snapshot(const struct fl_raft_snapshot* from, struct raft_snapshot_metadata* to) {
  to->index = from->index;
  to->term = from->term;
  to->configuration_index = from->configuration_index;
  return fl_raft_copy_configuration(&from->configuration, &to->configuration);
}

void fl_raft_free_entries(struct raft_entry* entries, unsigned n) {
  if (entries == NULL) return;
  for (unsigned i = 0; i < n; i++) {
    if (entries[i].type == RAFT_CHANGE) raft_free(entries[i].buf.base);
  }
  free(entries);
}

int fl_raft_encode_entries(const struct fl_raft_entry* from, unsigned n, struct raft_entry** out) {
  static const enum raft_entry_type types[] = {RAFT_COMMAND, RAFT_BARRIER, RAFT_CHANGE};
  *out = NULL;
  if (n == 0) return 0;
  struct raft_entry* entries = calloc(n, sizeof *entries);
  if (entries == NULL) return RAFT_NOMEM;
  for (unsigned i = 0; i < n; i++) {
    entries[i].term = from[i].term;
    entries[i].type = types[from[i].type];
    if (from[i].type != FL_RAFT_CHANGE) continue;
    struct raft_configuration configuration;
    int rv = fl_raft_copy_configuration(&from[i].configuration, &configuration);
    if (rv == 0) {
      rv = raft_configuration_encode(&configuration, &entries[i].buf);
      raft_configuration_close(&configuration);
    }
    if (rv != 0) {
      fl_raft_free_entries(entries, i);
      return rv;
    }
  }
  *out = entries;
  return 0;
}

bool fl_raft_export_message(const struct raft_message* from, struct fl_raft_message* to) {
  memset(to, 0, sizeof *to);
  to->peer_id = from->server_id;
  to->peer_address = from->server_address;
  switch (from->type) {
    case RAFT_APPEND_ENTRIES:
      to->type = FL_RAFT_APPEND_ENTRIES;
      to->term = from->append_entries.term;
      to->prev_index = from->append_entries.prev_log_index;
      to->prev_term = from->append_entries.prev_log_term;
      to->leader_commit = from->append_entries.leader_commit;
      to->n_entries = from->append_entries.n_entries;
      return true;
    case RAFT_APPEND_ENTRIES_RESULT:
      to->type = FL_RAFT_APPEND_RESULT;
      to->term = from->append_entries_result.term;
      to->rejected = from->append_entries_result.rejected;
      to->last_index = from->append_entries_result.last_log_index;
      return true;
    case RAFT_REQUEST_VOTE:
      to->type = FL_RAFT_VOTE_REQUEST;
      to->term = from->request_vote.term;
      to->last_index = from->request_vote.last_log_index;
      to->last_term = from->request_vote.last_log_term;
      to->pre_vote = from->request_vote.pre_vote;
      to->disrupt_leader = from->request_vote.disrupt_leader;
      return true;
    case RAFT_REQUEST_VOTE_RESULT:
      to->type = FL_RAFT_VOTE_RESULT;
      to->term = from->request_vote_result.term;
      to->granted = from->request_vote_result.vote_granted;
      to->pre_vote = from->request_vote_result.pre_vote;
      return true;
    case RAFT_INSTALL_SNAPSHOT:
      to->type = FL_RAFT_INSTALL_SNAPSHOT;
      to->term = from->install_snapshot.term;
      return true;
    case RAFT_TIMEOUT_NOW:
      to->type = FL_RAFT_TIMEOUT_NOW;
      to->term = from->timeout_now.term;
      to->last_index = from->timeout_now.last_log_index;
      to->last_term = from->timeout_now.last_log_term;
      return true;
    default:
      return false;
  }
}
