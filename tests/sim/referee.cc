#include "sim/referee.h"

#include <algorithm>

namespace faultline::sim {
namespace {

uint64_t Mix(uint64_t digest, std::string_view bytes) {
  return (digest ^ std::hash<std::string_view>()(bytes)) * 0x9e3779b97f4a7c15ULL;
}

}  // namespace

void Referee::AddViolation(std::string text) {
  if (!violation_.empty()) return;
  world_->Note("VIOLATION: {}", text);
  violation_ = std::move(text);
}

void Referee::OnLeader(uint64_t node, uint64_t term) {
  const auto [found, first] = leaders_.emplace(term, node);
  if (found->second != node) {
    return Violate("election safety: nodes {} and {} both lead term {}", found->second, node, term);
  }
  if (!first) return;
  world_->Note("leads term {}", term);
  CountTransfer(node, term);
  Disk& disk = *disks_.at(node);
  const raft::pb::Configuration own = disk.Configuration();
  const bool votes = std::any_of(own.members().begin(), own.members().end(),
                                 [node](const auto& m) { return m.id() == node && !m.learner(); });
  if (!votes) {
    return Violate("node {} leads term {} without a vote: its log has the members {}", node, term,
                   MembersText(own));
  }
  for (auto it = applied_.upper_bound(disk.snapshot_index()); it != applied_.end(); ++it) {
    if (it->second.seen_in_term < term && disk.TermAt(it->first) != it->second.term) {
      return Violate(
          "leader completeness: node {} leads term {} without entry {} of term {}, which is "
          "committed",
          node, term, it->first, it->second.term);
    }
  }
}

void Referee::OnWrite(uint64_t node, const raft::LogWrite& write) {
  uint64_t index = write.first_index;
  uint64_t term_before = write.clear_log || index == 0 ? 0 : disks_.at(node)->TermAt(index - 1);
  for (const raft::EntryPtr& entry : write.entries) {
    const Written now{term_before, Mix(static_cast<uint64_t>(entry->type()), entry->data())};
    const auto [found, first] = written_.try_emplace({index, entry->term()}, now);
    if (first && entry->type() == raft::pb::ENTRY_TYPE_CONFIGURATION) {
      OnConfiguration(node, write, index, *entry);
    }
    Written& known = found->second;
    if (known.digest != now.digest) {
      return Violate("log matching: node {} writes another entry {} of term {} than there was",
                     node, index, entry->term());
    }
    if (known.term_before == 0) known.term_before = term_before;
    if (term_before != 0 && known.term_before != term_before) {
      return Violate(
          "log matching: before entry {} of term {}, node {} has an entry of term {}, "
          "another node one of term {}",
          index, entry->term(), node, term_before, known.term_before);
    }
    term_before = entry->term();
    ++index;
  }
}

void Referee::OnApply(uint64_t node, uint64_t index, uint64_t term, std::string_view command,
                      std::string_view result) {
  uint64_t& last = applied_by_[node];
  if (last != 0 && index != last + 1) {
    Violate("node {} applies entry {} after entry {}", node, index, last);
  }
  last = index;
  const auto before = applied_.find(index - 1);
  const uint64_t digest =
      Mix(Mix(before == applied_.end() ? 0 : before->second.digest, command), result);
  const uint64_t newest_term = leaders_.empty() ? term : leaders_.rbegin()->first;
  const auto [found, first] = applied_.try_emplace(index, Applied{term, digest, newest_term});
  if (found->second.term != term || found->second.digest != digest) {
    return Violate(
        "state machine safety: node {} applies another entry {} than there was (term {}, "
        "not {}), or with another result",
        node, index, term, found->second.term);
  }
  if (!first) return;
  TakeIntoForce(index, term);
  // The first is the configuration that every empty log begins with.
  if (index != 1) CheckDurable(node, index, term);
}

void Referee::OnRestore(uint64_t node, uint64_t index) {
  if (!applied_.contains(index)) {
    Violate("node {} restores the state at {}, which was never reached", node, index);
  }
  applied_by_[node] = index;
  ++restores_;
}

void Referee::OnCapture(uint64_t node, uint64_t index) {
  if (applied_by_[node] != index) {
    Violate("node {} takes a snapshot at {} after it applied {}", node, index, applied_by_[node]);
  }
}

void Referee::OnStopped(uint64_t node) {
  Violate("node {} has stopped for good; its log (scripts/sim.sh --log) says why", node);
}

void Referee::OnFinished(const chaos::v1::Experiment& experiment) {
  if (!finished_.insert(experiment.experiment_id()).second) return;
  world_->Note("{} is over: {}", experiment.experiment_id(), experiment.phase());
  for (const auto& [agent, id] : active_now()) OnFaultActive(agent, id);
}

void Referee::OnFaultActive(const std::string& agent, const std::string& experiment_id) {
  if (!finished_.contains(experiment_id)) return;
  Violate("{} is active at {} after it was called over", experiment_id, agent);
}

}  // namespace faultline::sim
