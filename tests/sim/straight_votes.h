/* Votes by libraft alone, for tests. */
#ifndef FAULTLINE_SIM_STRAIGHT_VOTES_H
#define FAULTLINE_SIM_STRAIGHT_VOTES_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* On: what raft/libraft_core.c does about defect E is left out. */
void fl_set_straight_votes(bool on);

#ifdef __cplusplus
}
#endif

#endif /* FAULTLINE_SIM_STRAIGHT_VOTES_H */
