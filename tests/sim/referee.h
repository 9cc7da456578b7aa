// Sees everything that happens in a cluster and says what must not: the rules of Raft, and the
// promises of the control plane. Names of the rules are those of D. Ongaro's thesis,
// "Consensus: Bridging Theory and Practice" (2014), figure 3.2; those about membership are in its
// chapter 4 (referee_members.cc).
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chaos/v1/experiment.pb.h"
#include "raft/node.h"
#include "sim/disk.h"
#include "sim/world.h"

namespace faultline::sim {

class Referee {
 public:
  explicit Referee(World* world) : world_(world) {}

  // A node's disk; `node` is its id.
  void AddDisk(uint64_t node, Disk* disk) { disks_[node] = disk; }

  // The first violation is kept.
  template <typename... Args>
  void Violate(fmt::format_string<Args...> format, Args&&... args) {
    AddViolation(fmt::format(format, std::forward<Args>(args)...));
  }
  const std::string& violation() const { return violation_; }

  // Election safety: one leader a term. Leader completeness: it has all that was committed. It has
  // a vote by its own log.
  void OnLeader(uint64_t node, uint64_t term);
  // Log matching: entries of equal index and term are equal, and so are those before them. A
  // configuration is one step from that before it in the log, which is committed, and is what its
  // leader was asked for and has not refused.
  void OnWrite(uint64_t node, const raft::LogWrite& write);
  // State machine safety: one entry and one result at an index, wherever it is applied; and what is
  // applied is durable on a majority of the voters.
  void OnApply(uint64_t node, uint64_t index, uint64_t term, std::string_view command,
               std::string_view result);
  void OnRestore(uint64_t node, uint64_t index);
  // A snapshot is taken of what was applied last.
  void OnCapture(uint64_t node, uint64_t index);
  // Nothing that goes wrong here makes a node stop for good: disks that refuse are tried again, and
  // a damaged one is found at a start. So its driver or core has given up, which must not be.
  void OnStopped(uint64_t node);
  void OnNodeStart(uint64_t node) {
    applied_by_[node] = 0;
    own_members_.erase(node);
  }

  // A node's applied state says that the experiment is over; `active_at` names an agent where it is
  // nevertheless active.
  void OnFinished(const chaos::v1::Experiment& experiment);
  // An agent whose kernel obeys that experiment's fault at this moment.
  void OnFaultActive(const std::string& agent, const std::string& experiment_id);
  // Which experiments are active at agents at this moment; asked when one is over.
  std::function<std::vector<std::pair<std::string, std::string>>()> active_now;

  // A node has these members from now on, by the newest configuration in its memory; before
  // anything is committed by it.
  void OnMembers(uint64_t node, const std::vector<raft::Member>& members);
  // A node is asked to change the group, and answers: the number of the question. What it refuses
  // never stands in a log; of what it calls made, a configuration was committed since.
  uint64_t OnChangeAsked(uint64_t node, const raft::MemberChange& change);
  void OnChangeAnswered(uint64_t node, uint64_t ask, const Status& status);
  // The leader of `term` is asked to hand over; 0: to anybody.
  void OnTransferAsked(uint64_t term, uint64_t to) { transfers_[term] = to; }
  // Somebody was told that `change` was made; it was asked for when members_index() was `since`.
  void OnChangeTold(const raft::MemberChange& change, uint64_t since);

  // The newest configuration that is committed, as far as that shows; its index.
  const raft::pb::Configuration& members() const;
  uint64_t members_index() const { return in_force_.empty() ? 0 : in_force_.rbegin()->first; }
  bool IsMember(uint64_t node) const;
  bool WasMember(uint64_t node) const { return members_ever_.contains(node); }
  // Whether a configuration from that at `since` on is what the change would have made of it.
  bool Shows(const raft::MemberChange& change, uint64_t since) const;

  uint64_t committed() const { return applied_.empty() ? 0 : applied_.rbegin()->first; }
  size_t elections() const { return leaders_.size(); }
  size_t restores() const { return restores_; }
  size_t finished() const { return finished_.size(); }

 private:
  using Position = std::pair<uint64_t, uint64_t>;  // index and term
  struct Written {
    uint64_t term_before;
    uint64_t digest;
  };
  struct Applied {
    uint64_t term;
    uint64_t digest;  // of all commands and results up to here
    // The newest leader's term when it was seen first: it was committed in this or an earlier one.
    uint64_t seen_in_term;
  };
  struct Ask {
    uint64_t number;
    raft::MemberChange change;
    uint64_t since;  // members_index() when it was asked
  };
  void AddViolation(std::string text);
  // A configuration that no log had before.
  void OnConfiguration(uint64_t node, const raft::LogWrite& write, uint64_t index,
                       const raft::pb::Entry& entry);
  // Index of the configuration before `index` in the log that the write makes; 0: none.
  uint64_t ConfigurationBefore(uint64_t node, const raft::LogWrite& write, uint64_t index);
  bool WasAskedFor(uint64_t leader, const std::vector<raft::MemberChange>& steps,
                   const raft::pb::Configuration& to) const;
  // The entry is applied for the first time.
  void TakeIntoForce(uint64_t index, uint64_t term);
  void CheckDurable(uint64_t node, uint64_t index, uint64_t term);
  size_t Holders(const raft::pb::Configuration& configuration, uint64_t index, uint64_t term);
  void CountTransfer(uint64_t node, uint64_t term);

  World* const world_;
  std::map<uint64_t, Disk*> disks_;
  std::map<uint64_t, uint64_t> leaders_;  // by term
  std::map<Position, Written> written_;
  std::map<uint64_t, Applied> applied_;                      // by index
  std::map<uint64_t, uint64_t> applied_by_;                  // newest index, by node
  std::map<Position, raft::pb::Configuration> proposed_;     // in some log
  std::map<uint64_t, raft::pb::Configuration> in_force_;     // committed, by index
  std::map<uint64_t, raft::pb::Configuration> own_members_;  // by node
  std::set<uint64_t> members_ever_;                          // of committed configurations
  std::map<uint64_t, std::vector<Ask>> asks_;  // by node; those that it has not refused
  uint64_t next_ask_ = 1;
  std::map<uint64_t, uint64_t> transfers_;  // asked for, by term: to whom
  std::set<std::string> finished_;          // experiment ids
  size_t restores_ = 0;
  std::string violation_;
};

// "1 2 (3)": voters and learners.
std::string MembersText(const raft::pb::Configuration& configuration);

}  // namespace faultline::sim
