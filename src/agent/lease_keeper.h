// What the agent believes about its control-plane lease, and whom it believes. Pure: every time is
// handed in, in nanoseconds of CLOCK_BOOTTIME. Not thread-safe.
//
// A lease is counted from when the agent sent the renewal that a grant answers, so that the way
// back of a grant never makes it longer. Of one cluster nothing older than what was already taken
// is believed, with or without a lease: a node that lags must not bring back what the majority has
// ended. Another cluster is believed only while no lease is held, and grants nothing before its
// desired state was taken: its lease must not keep what the one before desired. (A node tells the
// desired state once a stream; one that told it too early is left as silent, and tells it again.)
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/status.h"
#include "chaos/v1/agent.pb.h"

namespace faultline::agent {

class LeaseKeeper {
 public:
  // While no grant answers, renewals are repeated this often.
  static constexpr uint64_t kRetryNs = 250'000'000;
  // A node that grants nothing for so long while renewals are due has no authority: try another.
  // A third of the lease, within these bounds, so that there is time left to find one.
  static constexpr uint64_t kShortestSilenceNs = 500'000'000;
  static constexpr uint64_t kLongestSilenceNs = 3'000'000'000;

  // A stream to a node is up: a renewal is due at once.
  void OnConnected(uint64_t now_ns);

  // When the next renewal should be sent.
  uint64_t renewal_due_ns() const { return renewal_due_ns_; }
  void OnRenewalSent(uint64_t sent_ns);

  // Takes a grant. FAILED_PRECONDITION, with nothing changed, when it is older than what was taken,
  // of another cluster than what is desired, answers no renewal of this connection, or its length
  // is not 1 ms to 1 h.
  Status OnGrant(const chaos::v1::LeaseGrant& grant, uint64_t now_ns);

  // Judges a desired state. OK: newest so far (or as new), and remembered as such.
  Status OnDesired(const chaos::v1::StateVersion& version, uint64_t now_ns);

  // End of the lease; 0 before the first.
  uint64_t until_ns() const { return until_ns_; }
  bool Held(uint64_t now_ns) const { return now_ns < until_ns_; }
  // True when the node should be given up for another.
  bool NodeIsSilent(uint64_t now_ns) const;

  const std::string& cluster_id() const { return cluster_id_; }

 private:
  struct Version {
    uint64_t term = 0, revision = 0;
    auto operator<=>(const Version&) const = default;
  };
  Status CheckVersion(const chaos::v1::StateVersion& version, const Version& newest,
                      uint64_t now_ns) const;
  // Forgets another cluster's versions when this is the first word of a new one.
  void Follow(const std::string& cluster_id);

  std::string cluster_id_;
  Version newest_;          // of grants and desired states
  Version newest_desired_;  // of desired states
  uint64_t until_ns_ = 0;
  uint64_t lease_ns_ = 0;
  uint64_t renewal_due_ns_ = 0;
  uint64_t unanswered_since_ns_ = 0;  // 0: the last renewal was answered
  std::set<uint64_t> sent_;           // renewals of this connection not yet answered
};

}  // namespace faultline::agent
