/* What can be asked of the core between steps, and set. */
#include <string.h>

#include "raft/libraft_convert.h"

void fl_raft_get_status(fl_raft* raft, struct fl_raft_status* status) {
  struct raft* r = &raft->raft;
  memset(status, 0, sizeof *status);
  raft_id leader_id = 0;
  switch (raft_state(r)) {
    case RAFT_LEADER:
      status->role = FL_RAFT_LEADER;
      break;
    case RAFT_CANDIDATE:
      status->role = FL_RAFT_CANDIDATE;
      status->in_pre_vote = r->candidate_state.in_pre_vote;
      break;
    default:
      status->role = FL_RAFT_FOLLOWER;
  }
  raft_leader(r, &leader_id, &status->leader_address);
  status->leader_id = leader_id;
  status->installing = r->snapshot.installing;
  status->term = raft_current_term(r);
  status->voted_for = raft_voted_for(r);
  status->commit_index = raft_commit_index(r);
  status->last_index = raft_last_index(r);
  status->last_stored = r->last_stored;
  status->offset = r->trail.offset;
  status->snapshot_index = r->trail.snapshot.index;
  status->snapshot_term = r->trail.snapshot.term;
  status->timeout_ms = raft_timeout(r);
  status->transferee = raft_transferee(r);
  status->promoting = raft_state(r) == RAFT_LEADER && r->leader_state.promotee_id != 0;
}

void fl_raft_set_timeouts(fl_raft* raft, unsigned election_timeout_ms, unsigned heartbeat_ms,
                          unsigned install_snapshot_timeout_ms) {
  raft_set_election_timeout(&raft->raft, election_timeout_ms);
  raft_set_heartbeat_timeout(&raft->raft, heartbeat_ms);
  raft_set_install_snapshot_timeout(&raft->raft, install_snapshot_timeout_ms);
}

enum fl_raft_catch_up fl_raft_catch_up_state(const fl_raft* raft, uint64_t id) {
  int state = RAFT_CATCH_UP_NONE;
  if (raft_catch_up(&raft->raft, id, &state) != 0) return FL_RAFT_CATCH_UP_NONE;
  switch (state) {
    case RAFT_CATCH_UP_RUNNING:
      return FL_RAFT_CATCH_UP_RUNNING;
    case RAFT_CATCH_UP_ABORTED:
      return FL_RAFT_CATCH_UP_ABORTED;
    case RAFT_CATCH_UP_FINISHED:
      return FL_RAFT_CATCH_UP_FINISHED;
    default:
      return FL_RAFT_CATCH_UP_NONE;
  }
}

uint64_t fl_raft_match_index(const fl_raft* raft, uint64_t id) {
  raft_index index = 0;
  return raft_match_index(&raft->raft, id, &index) == 0 ? index : 0;
}

const char* fl_raft_error(int code) { return raft_strerror(code); }
