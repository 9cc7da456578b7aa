// What must hold once faults have ended.
#include <fmt/ranges.h>

#include <algorithm>

#include "control/snapshot.h"
#include "sim/cluster.h"

namespace faultline::sim {
namespace {

constexpr uint64_t kRestLimitNs = 60 * kSecond;
// Until the last message has arrived; and then for how long nobody may be elected.
constexpr uint64_t kLateNs = 1'500 * kMs;
constexpr uint64_t kQuietNs = kSecond;

}  // namespace

std::vector<uint64_t> Cluster::Members() const {
  std::vector<uint64_t> members;
  for (const auto& member : referee_.members().members()) {
    if (member.id() != damaged_) members.push_back(member.id());
  }
  return members;
}

std::vector<uint64_t> Cluster::Leavers() const {
  std::vector<uint64_t> leavers;
  for (const auto& [node, place] : directory_.nodes) {
    if (!place.controller || place.controller->node() == nullptr) continue;
    if (referee_.WasMember(node) && !referee_.IsMember(node)) leavers.push_back(node);
  }
  return leavers;
}

bool Cluster::IsAtRest(uint64_t node, uint64_t* revision) {
  Controller* controller = directory_.Find(node);
  if (controller == nullptr || controller->node() == nullptr) return false;
  const auto same = [](const raft::Member& own, const raft::pb::Member& member) {
    return own.id == member.id() && own.address == member.address() &&
           own.learner == member.learner();
  };
  const auto& members = referee_.members().members();
  if (!std::equal(controller->members().begin(), controller->members().end(), members.begin(),
                  members.end(), same)) {
    return false;
  }
  return controller->plane().With([&](const control::State& here, const auto& version) {
    if (*revision == 0) *revision = version.revision();
    return here.unfinished.empty() && !here.cluster_id.empty() && version.revision() == *revision;
  });
}

bool Cluster::AtRest() {
  if (operator_ && !operator_->AtRest()) return false;
  uint64_t revision = 0;
  const std::vector<uint64_t> members = Members();
  return !members.empty() && Leader() != 0 &&
         std::all_of(members.begin(), members.end(),
                     [&](uint64_t node) { return IsAtRest(node, &revision); });
}

std::string Cluster::Difference() {
  std::string text = fmt::format(
      "it does not come to rest once faults have ended: the members are {}{}\n",
      referee_.members().ShortDebugString(),
      !operator_ || operator_->AtRest() ? "" : ", and the operator has them not in order");
  for (const auto& [node, place] : directory_.nodes) {
    if (!place.controller || place.controller->node() == nullptr) {
      text += fmt::format("  node {} is down{}\n", node, node == damaged_ ? " (damaged disk)" : "");
      continue;
    }
    const raft::View view = place.controller->view();
    place.controller->plane().With([&](const control::State& state, const auto& version) {
      text += fmt::format(
          "  node {}: role {}, term {}, leader {}, revision {}, commit {}, {} unfinished\n", node,
          static_cast<int>(view.role), view.term, view.leader_id, version.revision(),
          view.commit_index, state.unfinished.size());
      for (const uint64_t index : state.unfinished) {
        text += "    " + state.experiments.at(index).experiment().ShortDebugString() + "\n";
      }
    });
  }
  return text;
}

std::string Cluster::CheckEnd() {
  std::string first;
  for (const uint64_t node : Members()) {
    const std::string problem = directory_.Find(node)->plane().With(
        [&](const control::State& state, const auto&) -> std::string {
          const std::string bytes = control::ToSnapshot(state);
          if (first.empty()) first = bytes;
          if (bytes != first) return fmt::format("node {} has another state than the others", node);
          std::set<std::string> requests;
          for (const auto& [index, record] : state.experiments) {
            if (!requests.insert(record.experiment().request_id()).second) {
              return "request " + record.experiment().request_id() + " made two experiments";
            }
          }
          for (const auto& [request, experiment] : history_.Acknowledged()) {
            const auto* record = state.Find(experiment);
            if (record == nullptr || record->experiment().request_id() != request) {
              return fmt::format("{} was acknowledged to {} and is gone", experiment, request);
            }
          }
          return {};
        });
    if (!problem.empty()) return problem;
  }
  return history_.Violation();
}

std::string Cluster::ComeToRest() {
  const uint64_t limit_ns = world_.now_ns() + kRestLimitNs;
  const auto violated = [this] { return !referee_.violation().empty(); };
  do {
    if (world_.RunUntil(world_.now_ns() + 100 * kMs, violated)) return referee_.violation();
    if (AtRest()) return {};
  } while (world_.now_ns() < limit_ns);
  return Difference();
}

std::string Cluster::WatchLeavers() {
  if (Leavers().empty()) return {};
  // What was late, or waits for a disk that hangs, has come by then.
  uint64_t settled_ns = world_.now_ns();
  for (const auto& [node, disk] : disks_) settled_ns = std::max(settled_ns, disk->busy_until_ns());
  const auto violated = [this] { return !referee_.violation().empty(); };
  if (world_.RunUntil(settled_ns + kLateNs, violated)) return referee_.violation();
  const size_t elections = referee_.elections();
  if (world_.RunUntil(world_.now_ns() + kQuietNs, violated)) return referee_.violation();
  const std::vector<uint64_t> leavers = Leavers();
  if (leavers.empty()) return ComeToRest();
  world_.Count("removed nodes that go on");
  if (referee_.elections() != elections) {
    return fmt::format("a removed node disturbs the others (of {}): there was an election",
                       fmt::join(leavers, ", "));
  }
  return ComeToRest();
}

std::string Cluster::Run() {
  world_.Note("seed {}: {}", options_.seed, faults_.Text());
  world_.At(kNowhere, world_.now_ns() + 300 * kMs, [this] { FaultStep(); });
  Watchdog();
  const auto violated = [this] { return !referee_.violation().empty(); };
  if (world_.RunUntil(world_.now_ns() + options_.faulty_ns, violated)) return referee_.violation();
  EndFaults();
  for (const auto& step : {&Cluster::ComeToRest, &Cluster::WatchLeavers, &Cluster::CheckEnd}) {
    if (std::string wrong = (this->*step)(); !wrong.empty()) return wrong;
  }
  if (damaged_ != 0 && !referee_.IsMember(damaged_)) world_.Count("lost nodes replaced");
  return {};
}

}  // namespace faultline::sim
