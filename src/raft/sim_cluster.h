// A whole cluster in one thread: the node's own driver over a clock, a network and disks that one
// seed decides. The same seed always gives the same run. For tests.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "raft/driver.h"

namespace faultline::raft {

// What goes wrong, all per message or per step of the schedule.
struct SimFaults {
  double loss = 0;
  double duplicate = 0;
  double late = 0;             // delivered after up to a second
  bool partitions = false;     // links are cut and mended, also in one direction
  bool crashes = false;        // nodes stop, losing what is not durable, and come back
  bool slow_disks = false;     // some syncs take up to 100 ms
  bool hanging_disks = false;  // a few take 2 to 6 s
};

class SimCluster {
 public:
  SimCluster(uint64_t seed, uint64_t size, const SimFaults& faults);
  ~SimCluster();

  // Runs with faults and clients for so long.
  void RunWithFaults(uint64_t duration_ns);
  // Mends everything, runs until all members agree on one more command, and compares them. False
  // when they do not within the time.
  bool Converges(uint64_t limit_ns);

  // Of the first broken rule; empty when all held: one leader a term; equal state at equal index
  // on all members; what is applied is durable on a majority; everything acknowledged stands where
  // it was acknowledged; a read sees everything acknowledged before it was asked; no later leader
  // was elected before the time at which a leader believes it had its quorum; equal terms in logs
  // mean equal entries.
  const std::string& violation() const { return violation_; }

  uint64_t acknowledged() const { return acknowledged_.size(); }
  uint64_t reads() const { return reads_; }
  uint64_t snapshots_installed() const { return snapshots_installed_; }
  uint64_t elections() const { return leaders_.size(); }

 private:
  struct Member;
  struct Event {
    uint64_t time_ns;
    uint64_t order;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return time_ns != other.time_ns ? time_ns > other.time_ns : order > other.order;
    }
  };

  void At(uint64_t time_ns, std::function<void()> run);
  bool RunUntil(uint64_t time_ns, const std::function<bool()>& done);
  bool Chance(double probability);
  uint64_t Between(uint64_t low, uint64_t high);

  void StartMember(uint64_t id);
  void CrashMember(uint64_t id);
  void CrashSoon(uint64_t id, uint64_t after_ns, uint64_t down_ns);
  void Partition();
  void AfterStep(Member& member);
  void CheckLeader(const Member& member);
  void Deliver(uint64_t from, uint64_t to, const std::string& bytes);
  void Transmit(uint64_t from, uint64_t to, std::string bytes);
  void NoteState(uint64_t index, uint64_t digest, const std::string& command);
  void CheckDurable(uint64_t index, const std::string& command);
  void CompareLogs();
  void Violate(const std::string& what);

  void ClientStep();
  void FaultStep();
  void ProposeTo(Member& member);
  void ReadFrom(Member& member);

  std::mt19937_64 random_;
  SimFaults faults_;
  uint64_t now_ns_ = 1'000'000'000;
  uint64_t order_ = 0;
  uint64_t end_of_faults_ns_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<std::unique_ptr<Member>> members_;  // by id
  std::vector<raft::Member> addresses_;
  uint64_t snapshot_every_ = 0;
  uint64_t snapshot_trailing_ = 0;
  std::set<std::pair<uint64_t, uint64_t>> cut_;  // links, from and to

  struct Elected {
    uint64_t id;
    uint64_t time_ns;
  };
  std::map<uint64_t, Elected> leaders_;  // by term
  struct Applied {
    uint64_t digest;
    std::string command;
  };
  std::map<uint64_t, Applied> applied_;           // by index; the same on all members
  std::map<uint64_t, std::string> acknowledged_;  // by index
  uint64_t next_command_ = 0;
  uint64_t reads_ = 0;
  uint64_t snapshots_installed_ = 0;
  std::string violation_;
};

}  // namespace faultline::raft
