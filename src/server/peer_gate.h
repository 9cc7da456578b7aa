// Which nodes' connections this node takes on its peer listener: those of its own cluster, each id
// from one data directory only. Counts what it refuses.
//
// Threads: every method may be called from any thread.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "raft/grpc_transport.h"
#include "raft/identity.h"

namespace faultline::server {

class PeerGate {
 public:
  explicit PeerGate(raft::Identity own);

  // How this node introduces itself.
  raft::Hello Hello() const;
  // FAILED_PRECONDITION with a sentence that the other end gets too: OTHER_CLUSTER; UNKNOWN_VERSION
  // of a program whose protocol this one does not speak; DUPLICATE_ID for a second node under one
  // id (or one that has lost its directory, and with it its votes, or a second process on a copy of
  // one); OWN_ADDRESS when a wrong address leads this node to itself.
  Status Admit(const raft::Hello& hello);
  // Who is a member: others may come back under another directory later.
  void SetMembers(const std::vector<uint64_t>& ids);
  // The cluster id is known now, or is another one (a restored cluster). Durable when it returns.
  void SetCluster(const std::string& dir, const std::string& cluster_id);

  // By reason.
  std::map<std::string, uint64_t> refused() const;

 private:
  // A node's directory, of the first connection, and the starts that came with it.
  struct Seen {
    uint64_t store_id = 0;
    uint64_t start_id = 0;  // newest; 0: not told
    std::set<uint64_t> earlier_starts;
  };

  Status Check(const raft::Hello& hello);
  Status CheckStart(const raft::Hello& hello);

  mutable std::mutex mutex_;
  raft::Identity own_;
  const uint64_t start_id_;
  std::map<uint64_t, Seen> seen_;  // by node
  std::map<std::string, uint64_t> refused_;
};

}  // namespace faultline::server
