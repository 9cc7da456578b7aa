// What stands between the network and libraft 0.22.1: each function keeps away messages that the
// core would take wrongly, or corrects one that it makes wrongly. Defects A to D and F were each
// met under a simulator (E, about changes of membership, has no filter). Pure.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "raft/core.h"

namespace faultline::raft {

// INVALID_ARGUMENT when a message from a member is not one that a correct member could send: the
// core, built without asserts, would be corrupted by it.
Status CheckWellFormed(const pb::PeerMessage& message);

// Empty when the core may take `message` now; else why it must not.
//  - A: a late vote result is read as one of a candidate whatever the role: only a candidate, and
//    only in the phase (pre-vote or vote) and term that asked, gets it.
//  - B: a late rejection in probe state sets next_index to match_index or below, and the follower
//    starves: rejections at or below `match_index`, or above our own log, are dropped.
//  - A snapshot that arrives while one is being installed leaks.
//  - AppendEntries or InstallSnapshot of our own term while we lead (two members with one id)
//    corrupt the leader's state.
std::string_view ReasonToDrop(const CoreStatus& status, uint64_t match_index,
                              const pb::PeerMessage& message);

// F: the core answers an AppendEntries or InstallSnapshot of an earlier term with an index that it
// never set, the latter as a success; a member that leads the present term by then would count it
// as durable, and commit what is not. Such messages are not for the core: true, and the answer,
// which tells the term and nothing else, when `message` is one.
bool AnswerEarlierTerm(const CoreStatus& status, const pb::PeerMessage& message,
                       pb::PeerMessage* answer);

// Second half of B: a rejection's hint never leads below what is known to match.
void RaiseHint(uint64_t match_index, pb::AppendResult* result);

// C: an AppendEntries that starts below the snapshot is taken as a continuation of it. Everything
// up to the snapshot is committed and therefore equal: the message is made to start there.
void TrimBelowSnapshot(const CoreStatus& status, pb::AppendEntries* append);

// The core records a configuration's index wrongly unless it is the first of its batch: `append`
// in pieces each of which has a configuration first or not at all. Takes the entries.
std::vector<pb::AppendEntries> SplitAtConfigurations(pb::AppendEntries append);

// D: a rejected pre-vote answers with the requester's term, who then never learns the real one, and
// healthy members may stay without a leader for ever. Puts `term` into such an answer.
void TellRealTerm(uint64_t term, pb::PeerMessage* outgoing);

}  // namespace faultline::raft
