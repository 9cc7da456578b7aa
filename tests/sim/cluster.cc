#include "sim/cluster.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "control/snapshot.h"

namespace faultline::sim {
namespace {

constexpr std::chrono::milliseconds kLease{1'000};
constexpr uint64_t kRestLimitNs = 30 * kSecond;

// In memory where the system has such a place: snapshots are files, and synced.
std::string MakeFolder() {
  std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
  name += "/faultline-sim-XXXXXX";
  return mkdtemp(name.data());
}

}  // namespace

Cluster::Cluster(const Options& options)
    : options_(options), world_(options.seed), network_(&world_), referee_(&world_) {
  folder_ = MakeFolder();
  faults_ = Faults::Random(&world_);
  network_.faults = faults_.network;
  snapshot_every_ = world_.Between(15, 200);
  snapshot_trailing_ = world_.Between(0, 40);
  const uint64_t size = options.nodes != 0 ? options.nodes : world_.Chance(0.2) ? 5 : 3;
  std::set<uint64_t> voters;
  for (uint64_t node = 1; node <= size; ++node) {
    members_.push_back({node, fmt::format("n{}:7401", node)});
    voters.insert(node);
    const HostId host = world_.AddHost(fmt::format("n{}", node));
    directory_.nodes[node].host = host;
    auto disk = std::make_unique<Disk>(&world_, DataDir(node));
    disk->faults = faults_.disk;
    disk->on_write = [this, node](const raft::LogWrite& write) { referee_.OnWrite(node, write); };
    disk->on_power_loss = [this, node](uint64_t after_ns) {
      PowerLoss(node, after_ns, world_.Between(0, 5) * kMs);
    };
    referee_.AddDisk(node, disk.get());
    disks_[node] = std::move(disk);
  }
  referee_.SetVoters(voters);
  referee_.active_now = [this] {
    std::vector<std::pair<std::string, std::string>> active;
    for (const auto& [id, place] : agents_) {
      if (!place.agent) continue;
      for (const std::string& experiment : place.agent->Active())
        active.push_back({id, experiment});
    }
    return active;
  };
  for (uint64_t node = 1; node <= size; ++node) StartNode(node);
  for (const char* id : {"host-a", "host-b"}) {
    agents_[id].host = world_.AddHost(id);
    shared_.agents.push_back(id);
    StartAgent(id);
  }
  shared_.world = &world_;
  shared_.network = &network_;
  shared_.directory = &directory_;
  shared_.history = &history_;
  shared_.end_ns = world_.now_ns() + options_.faulty_ns;
  for (int i = 1; i <= 3; ++i) {
    const HostId host = world_.AddHost(fmt::format("c{}", i));
    world_.BeginLife(host);
    world_.On(host, [&] {
      clients_.push_back(std::make_unique<Client>(fmt::format("c{}", i), &shared_));
    });
  }
}

Cluster::~Cluster() {
  for (auto& [id, place] : agents_) {
    world_.EndLife(place.host);
    world_.On(place.host, [&place] { place.agent.reset(); });
  }
  for (auto& [node, place] : directory_.nodes) {
    if (place.controller) EndNode(node, false);
  }
  disks_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Cluster::DataDir(uint64_t node) const { return fmt::format("{}/{}", folder_, node); }

void Cluster::StartNode(uint64_t node) {
  Directory::Place& place = directory_.nodes.at(node);
  if (place.controller || node == damaged_) return;
  world_.BeginLife(place.host);
  ControllerOptions options;
  options.node_id = node;
  options.members = members_;
  options.data_dir = DataDir(node);
  options.lease = kLease;
  options.seed = world_.Between(1, UINT32_MAX);
  options.snapshot_every = snapshot_every_;
  options.snapshot_trailing = snapshot_trailing_;
  world_.On(place.host, [&] {
    world_.Note("starts");
    place.controller =
        std::make_unique<Controller>(options, &world_, &network_, &directory_, &referee_);
    const Status status = place.controller->Start();
    if (status.ok()) return;
    world_.Note("does not start: {}", ToString(status.message()));
    if (disks_.at(node)->damaged) {
      damaged_ = node;
    } else if (faulty_) {
      PowerLoss(node, 0, 100 * kMs);
    } else {
      referee_.Violate("node {} does not start: {}", node, ToString(status.message()));
    }
  });
  // What starting has taken is over before anything else happens there.
  world_.Pause(place.host, world_.now_ns());
}

void Cluster::EndNode(uint64_t node, bool in_order) {
  Directory::Place& place = directory_.nodes.at(node);
  if (!place.controller) return;
  world_.On(place.host, [&] {
    world_.Note("{}", in_order ? "ends" : "loses its power");
    if (!in_order) {
      world_.EndLife(place.host);
      disks_.at(node)->PowerLost();
    }
    place.controller.reset();
    if (in_order) {
      world_.EndLife(place.host);
      disks_.at(node)->PowerLost();
    }
  });
}

void Cluster::PowerLoss(uint64_t node, uint64_t after_ns, uint64_t down_ns) {
  const HostId host = directory_.nodes.at(node).host;
  world_.At(kNowhere, world_.now_ns() + after_ns,
            [this, node, host, down_ns, life = world_.LifeOf(host)] {
              if (world_.LifeOf(host) != life || !faulty_) return;
              EndNode(node, false);
              world_.At(kNowhere, world_.now_ns() + down_ns, [this, node] { StartNode(node); });
            });
}

void Cluster::StartAgent(const std::string& id) {
  AgentPlace& place = agents_.at(id);
  if (place.agent) return;
  world_.BeginLife(place.host);
  world_.On(place.host, [&] {
    world_.Note("starts");
    place.agent =
        std::make_unique<Agent>(AgentOptions{id, ++place.incarnation, {"cart", "checkout"}},
                                &world_, &network_, &directory_, &referee_);
  });
}

bool Cluster::AtRest() {
  uint64_t revision = 0;
  std::string state;
  for (const auto& [node, place] : directory_.nodes) {
    if (node == damaged_) continue;
    if (!place.controller || place.controller->node() == nullptr) return false;
    const bool same = place.controller->plane().With([&](const control::State& here,
                                                         const auto& version) {
      if (revision == 0) revision = version.revision();
      return here.unfinished.empty() && !here.cluster_id.empty() && version.revision() == revision;
    });
    if (!same) return false;
  }
  const auto leading =
      std::count_if(directory_.nodes.begin(), directory_.nodes.end(), [](const auto& entry) {
        return entry.second.controller &&
               entry.second.controller->view().role == raft::Role::kLeader;
      });
  return leading == 1;
}

std::string Cluster::Difference() {
  std::string text = "it does not come to rest once faults have ended:\n";
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
  for (const auto& [node, place] : directory_.nodes) {
    if (!place.controller || node == damaged_) continue;
    const std::string problem = place.controller->plane().With(
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

std::string Cluster::Run() {
  world_.Note("seed {}: {}", options_.seed, faults_.Text());
  world_.At(kNowhere, world_.now_ns() + 300 * kMs, [this] { FaultStep(); });
  Watchdog();
  const auto violated = [this] { return !referee_.violation().empty(); };
  if (world_.RunUntil(world_.now_ns() + options_.faulty_ns, violated)) return referee_.violation();
  EndFaults();
  const uint64_t limit_ns = world_.now_ns() + kRestLimitNs;
  bool rested = false;
  while (!rested && world_.now_ns() < limit_ns) {
    if (world_.RunUntil(world_.now_ns() + 100 * kMs, violated)) return referee_.violation();
    rested = AtRest();
  }
  if (!rested) return Difference();
  return CheckEnd();
}

}  // namespace faultline::sim
