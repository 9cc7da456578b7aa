// Sees everything that happens in a cluster and says what must not: the rules of Raft, and the
// promises of the control plane. Names of the rules are those of D. Ongaro's thesis,
// "Consensus: Bridging Theory and Practice" (2014), figure 3.2.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "chaos/v1/experiment.pb.h"
#include "sim/disk.h"
#include "sim/world.h"

namespace faultline::sim {

class Referee {
 public:
  explicit Referee(World* world) : world_(world) {}

  // A member's disk; `node` is its id.
  void AddDisk(uint64_t node, Disk* disk) { disks_[node] = disk; }
  // The voters of the group, as an operator believes.
  void SetVoters(std::set<uint64_t> voters) { voters_ = std::move(voters); }

  // The first violation is kept.
  template <typename... Args>
  void Violate(fmt::format_string<Args...> format, Args&&... args) {
    AddViolation(fmt::format(format, std::forward<Args>(args)...));
  }
  const std::string& violation() const { return violation_; }

  // Election safety: one leader a term. Leader completeness: it has all that was committed.
  void OnLeader(uint64_t node, uint64_t term);
  // Log matching: entries of equal index and term are equal, and so are those before them.
  void OnWrite(uint64_t node, const raft::LogWrite& write);
  // State machine safety: one entry and one result at an index, wherever it is applied; and what is
  // applied is durable on a majority.
  void OnApply(uint64_t node, uint64_t index, uint64_t term, std::string_view command,
               std::string_view result);
  void OnRestore(uint64_t node, uint64_t index);
  // A snapshot is taken of what was applied last.
  void OnCapture(uint64_t node, uint64_t index);
  void OnNodeStart(uint64_t node) { applied_by_[node] = 0; }

  // A node's applied state says that the experiment is over; `active_at` names an agent where it is
  // nevertheless active.
  void OnFinished(const chaos::v1::Experiment& experiment);
  // An agent whose kernel obeys that experiment's fault at this moment.
  void OnFaultActive(const std::string& agent, const std::string& experiment_id);
  // Which experiments are active at agents at this moment; asked when one is over.
  std::function<std::vector<std::pair<std::string, std::string>>()> active_now;

  uint64_t committed() const { return applied_.empty() ? 0 : applied_.rbegin()->first; }
  size_t elections() const { return leaders_.size(); }
  size_t restores() const { return restores_; }
  size_t finished() const { return finished_.size(); }

 private:
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
  void AddViolation(std::string text);

  World* const world_;
  std::map<uint64_t, Disk*> disks_;
  std::set<uint64_t> voters_;
  std::map<uint64_t, uint64_t> leaders_;                      // by term
  std::map<std::pair<uint64_t, uint64_t>, Written> written_;  // by index and term
  std::map<uint64_t, Applied> applied_;                       // by index
  std::map<uint64_t, uint64_t> applied_by_;                   // newest index, by node
  std::set<std::string> finished_;                            // experiment ids
  size_t restores_ = 0;
  std::string violation_;
};

}  // namespace faultline::sim
