/* Stands in front of fl_raft_receive (the linker's --wrap) and can leave out what
 * raft/libraft_core.c does about votes: the core then decides by its own configuration. */
#include "sim/straight_votes.h"

#include <stdlib.h>
#include <string.h>

#include "raft/libraft_convert.h"

static bool straight;

void fl_set_straight_votes(bool on) { straight = on; }

int __real_fl_raft_receive(fl_raft* raft, uint64_t now_ms, const struct fl_raft_message* message,
                           struct fl_raft_update* update);

int __wrap_fl_raft_receive(fl_raft* raft, uint64_t now_ms, const struct fl_raft_message* message,
                           struct fl_raft_update* update) {
  if (!straight || message->type != FL_RAFT_VOTE_REQUEST) {
    return __real_fl_raft_receive(raft, now_ms, message, update);
  }
  struct raft_message request;
  memset(&request, 0, sizeof request);
  request.type = RAFT_REQUEST_VOTE;
  request.server_id = message->peer_id;
  request.server_address = message->peer_address;
  request.request_vote.version = 2;
  request.request_vote.term = message->term;
  request.request_vote.candidate_id = message->peer_id;
  request.request_vote.last_log_index = message->last_index;
  request.request_vote.last_log_term = message->last_term;
  request.request_vote.pre_vote = message->pre_vote;
  request.request_vote.disrupt_leader = message->disrupt_leader;
  struct raft_event event = {.type = RAFT_RECEIVE, .time = now_ms};
  event.receive.message = &request;
  struct raft_update out;
  memset(&out, 0, sizeof out);
  memset(update, 0, sizeof *update);
  int rv = raft_step(&raft->raft, &event, &out);
  if (rv != 0) return rv;
  update->hard_state = (out.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) != 0;
  /* The answer is one message. */
  static struct fl_raft_message answer;
  if ((out.flags & (RAFT_UPDATE_MESSAGES)) &&
      fl_raft_export_message(&out.messages.batch[0], &answer)) {
    update->messages = &answer;
    update->n_messages = 1;
  }
  return 0;
}
