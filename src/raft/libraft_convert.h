/* Between libraft's structs and ours; for libraft_core.c and
 * libraft_status.c alone. Functions that return int give 0 or
 * a code of libraft's, and have then allocated nothing. */
#ifndef FAULTLINE_RAFT_LIBRAFT_CONVERT_H
#define FAULTLINE_RAFT_LIBRAFT_CONVERT_H

#include <raft.h>

#include "raft/libraft_core.h"

struct fl_raft {
  struct raft raft;
  struct fl_raft_message* messages; /* of the newest update */
  unsigned messages_capacity;
};

/* The result is closed by raft_configuration_close, or by the core that takes it. */
int fl_raft_copy_configuration(const struct fl_raft_configuration* from,
                               struct raft_configuration* to);
int fl_raft_copy_snapshot(const struct fl_raft_snapshot* from, struct raft_snapshot_metadata* to);

/* Entries without content, but for configurations. `out` is NULL when n is 0. */
int fl_raft_encode_entries(const struct fl_raft_entry* from, unsigned n, struct raft_entry** out);
void fl_raft_free_entries(struct raft_entry* entries, unsigned n);

/* False: a message of a type that is not ours. */
bool fl_raft_export_message(const struct raft_message* from, struct fl_raft_message* to);

#endif /* FAULTLINE_RAFT_LIBRAFT_CONVERT_H */
