// Which nodes' connections this node takes on its peer listener: those of its own cluster, each id
// from one data directory only. Which directory a member came with is kept in this node's own, in
// the file `peers`, so that a start does not forget it. Counts what it refuses.
//
// Threads: every method may be called from any thread. Only Admit and Save wait for the disk.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/strand.h"
#include "raft/grpc_transport.h"
#include "raft/identity.h"

namespace faultline::server {

class PeerGate {
 public:
  // `dir`: this node's data directory. What is kept there of others is read; when that is damaged,
  // they are learned anew.
  PeerGate(std::string dir, raft::Identity own);

  // Writes what has not been written.
  ~PeerGate();

  // How this node introduces itself.
  raft::Hello Hello() const;
  // A member's directory is durable when it is admitted, unless the disk refuses (which is logged).
  // FAILED_PRECONDITION with a sentence that the other end gets too: OTHER_CLUSTER; UNKNOWN_VERSION
  // of a program whose protocol this one does not speak; DUPLICATE_ID for a second node under one
  // id (or one that has lost its directory, and with it its votes, or a second process on a copy of
  // one); OWN_ADDRESS when a wrong address leads this node to itself.
  Status Admit(const raft::Hello& hello);
  // What a member of this cluster that was asked says of itself: kept when nothing is known of it.
  // Two that have nothing to say to each other, as followers, know each other by this alone.
  void Learn(const raft::Hello& hello);
  // Of every member something is kept.
  bool KnowsAll() const;
  // Who is a member: of others nothing is kept. What is known of an id whose removal this node has
  // not seen, since it was away, stays. Written soon.
  void SetMembers(const std::vector<uint64_t>& ids);
  // The cluster id is known now, or is another one (a restored cluster). Written soon, to the
  // file `identity`.
  void SetCluster(const std::string& cluster_id);
  // All that was told before is durable when it returns, unless the disk refuses (which is logged).
  void Save();

  // By reason.
  std::map<std::string, uint64_t> refused() const;

 private:
  // A node's directory, of the first connection, and the starts that came with it.
  struct Seen {
    uint64_t store_id = 0;
    uint64_t start_id = 0;  // newest; 0: not told
    std::set<uint64_t> earlier_starts;
  };

  // With mutex_ held.
  Status Check(const raft::Hello& hello);
  Status CheckStart(const raft::Hello& hello);
  bool IsSaved(uint64_t id) const;
  // With save_mutex_ held: when what stands in the file is not what is known.
  void SaveIdentity();
  void SavePeers();
  // Save, by the writer.
  void SaveSoon();

  const std::string dir_;
  const uint64_t start_id_;
  std::mutex save_mutex_;  // held while files are written, and taken first
  uint64_t failed_saves_ = 0;
  mutable std::mutex mutex_;  // of all below: never held while files are written
  raft::Identity own_;
  std::string saved_cluster_id_;
  std::set<uint64_t> members_;          // empty: not known yet
  std::map<uint64_t, Seen> seen_;       // by node
  std::map<uint64_t, uint64_t> saved_;  // what stands in the file: store_id by node
  std::map<std::string, uint64_t> refused_;
  // Of its own: a disk that hangs stops nothing else.
  Strand writer_{"fl-peer-files"};
};

}  // namespace faultline::server
