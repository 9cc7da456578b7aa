#include "raft/node_options.h"

#include <set>

namespace faultline::raft {

Status CheckOptions(const Options& options) {
  if (options.id == 0) return FieldError("id", "0", "above 0");
  if (options.data_dir.empty()) return FieldError("data_dir", "", "a directory");
  if (options.heartbeat.count() < 1) {
    return FieldError("heartbeat", std::to_string(options.heartbeat.count()), "at least 1 ms");
  }
  if (options.election_timeout < 2 * options.heartbeat) {
    return FieldError("election_timeout", std::to_string(options.election_timeout.count()),
                      "at least twice the heartbeat");
  }
  if (options.snapshot_every == 0) return FieldError("snapshot_every", "0", "above 0");
  return absl::OkStatus();
}

Status CheckInitialMembers(const Options& options) {
  std::set<uint64_t> ids;
  std::set<std::string> addresses;
  for (const Member& member : options.members) {
    if (member.id == 0 || member.address.empty()) {
      return FieldError("members", std::to_string(member.id), "an id above 0 and an address each");
    }
    if (!ids.insert(member.id).second) {
      return FieldError("members", std::to_string(member.id), "each id once");
    }
    if (!addresses.insert(member.address).second) {
      return FieldError("members", member.address, "each address once");
    }
  }
  if (ids.count(options.id) == 0) {
    return FieldError("members", std::to_string(options.id), "a list with this node's own id");
  }
  return absl::OkStatus();
}

}  // namespace faultline::raft
