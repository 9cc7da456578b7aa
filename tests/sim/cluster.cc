#include "sim/cluster.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/status.h"

namespace faultline::sim {
namespace {

constexpr std::chrono::milliseconds kLease{1'000};

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
  faults_ = options.faults ? *options.faults : Faults::Random(&world_);
  network_.faults = faults_.network;
  snapshot_every_ = world_.Between(15, 200);
  snapshot_trailing_ = world_.Between(0, 40);
  const uint64_t size = options.nodes != 0 ? options.nodes : world_.Chance(0.2) ? 5 : 3;
  for (uint64_t node = 1; node <= size; ++node) {
    first_members_.push_back({node, Operator::AddressOf(node)});
    Install(node, /*told=*/true);
  }
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
  if (faults_.members || faults_.transfers) HireOperator();
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

void Cluster::Install(uint64_t node, bool told) {
  const HostId host = world_.AddHost(fmt::format("n{}", node));
  directory_.nodes[node].host = host;
  directory_.nodes[node].told = told;
  directory_.listeners[Operator::AddressOf(node)] = node;
  auto disk = std::make_unique<Disk>(&world_, DataDir(node));
  if (faulty_) disk->faults = faults_.disk;
  disk->on_write = [this, node](const raft::LogWrite& write) { referee_.OnWrite(node, write); };
  disk->on_power_loss = [this, node](uint64_t after_ns) {
    PowerLoss(node, after_ns, world_.Between(0, 5) * kMs);
  };
  disk->on_hang = [this, node](uint64_t for_ns) { WatchHang(node, for_ns); };
  referee_.AddDisk(node, disk.get());
  disks_[node] = std::move(disk);
}

void Cluster::HireOperator() {
  Operator::Means means;
  means.world = &world_;
  means.network = &network_;
  means.directory = &directory_;
  means.referee = &referee_;
  means.members = faults_.members;
  means.transfers = faults_.transfers;
  // With two voters, the loss of one would be for good.
  means.least_voters = faults_.damaged_disk || world_.Chance(0.5) ? 3 : 2;
  means.install = [this] {
    const uint64_t node = directory_.nodes.size() + 1;
    Install(node, /*told=*/false);
    return node;
  };
  means.start = [this](uint64_t node) { StartNode(node); };
  means.stop = [this](uint64_t node) {
    stopped_.insert(node);
    EndNode(node, /*in_order=*/true);
  };
  means.lost = [this] { return Lost(); };
  const HostId host = world_.AddHost("op");
  world_.BeginLife(host);
  world_.On(host, [&] { operator_.emplace(std::move(means)); });
}

void Cluster::StartNode(uint64_t node) {
  Directory::Place& place = directory_.nodes.at(node);
  if (place.controller || node == damaged_ || stopped_.contains(node)) return;
  world_.BeginLife(place.host);
  ControllerOptions options;
  options.node_id = node;
  options.join = node > first_members_.size();
  if (!options.join) options.members = first_members_;
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
    } else if (ReasonOf(status) == "NOT_A_MEMBER" && !referee_.IsMember(node)) {
      stopped_.insert(node);
    } else if (faulty_ && status.code() != StatusCode::kInternal) {
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
              if (world_.IsUp(host)) world_.Count("power losses");
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

uint64_t Cluster::Leader() const {
  uint64_t leader = 0;
  for (const auto& [node, place] : directory_.nodes) {
    if (!place.controller || place.controller->view().role != raft::Role::kLeader) continue;
    if (std::exchange(leader, node) != 0) return 0;
  }
  return leader;
}

uint64_t Cluster::Lost() const {
  for (const auto& [node, disk] : disks_) {
    if (disk->damaged) return node;
  }
  return 0;
}

}  // namespace faultline::sim
