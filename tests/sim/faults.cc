// What goes wrong in a simulated system, and when.
#include <algorithm>

#include "sim/cluster.h"

namespace faultline::sim {
namespace {

// What raft/driver_storage.cc says of disks that hang, and how soon it must act upon it.
constexpr uint64_t kHangsNs = 2 * kSecond;
constexpr uint64_t kNoticeNs = 200 * kMs;

}  // namespace

Faults Faults::Random(World* world) {
  Faults faults;
  const auto some = [world](double probability) { return world->Chance(probability); };
  if (some(0.6)) faults.network.loss = static_cast<double>(world->Between(1, 8)) / 100;
  if (some(0.5)) faults.network.duplicate = static_cast<double>(world->Between(1, 8)) / 100;
  if (some(0.6)) faults.network.late = static_cast<double>(world->Between(1, 8)) / 100;
  if (some(0.2)) faults.network.max_delay_ns = world->Between(2, 20) * kMs;
  faults.partitions = some(0.5);
  faults.crashes = some(0.5);
  faults.restarts = some(0.3);
  faults.pauses = some(0.4);
  faults.agent_crashes = some(0.3);
  faults.clock_steps = some(0.2);
  if (some(0.4)) faults.disk.slow = 0.05;
  if (faults.crashes) faults.disk.crash = 0.002;
  if (faults.crashes) faults.disk.crash_vote = 0.1;
  if (some(0.2)) faults.disk.error = 0.002;
  faults.full_disks = some(0.15);
  faults.hanging_disks = some(0.2);
  faults.damaged_disk = some(0.1);
  faults.members = some(0.35);
  faults.transfers = some(0.3);
  return faults;
}

std::string Faults::Text() const {
  std::string text =
      fmt::format("loss {} %, doubled {} %, late {} %, delay up to {} ms", network.loss * 100,
                  network.duplicate * 100, network.late * 100, network.max_delay_ns / kMs);
  const std::pair<bool, const char*> named[] = {
      {partitions, "partitions"},       {crashes, "power losses"},
      {restarts, "restarts"},           {pauses, "pauses"},
      {agent_crashes, "agents killed"}, {clock_steps, "clock steps"},
      {disk.slow > 0, "slow disks"},    {disk.error > 0, "disk errors"},
      {full_disks, "full disks"},       {hanging_disks, "hanging disks"},
      {damaged_disk, "a damaged disk"}, {members, "changes of members"},
      {transfers, "transfers"}};
  for (const auto& [present, name] : named) {
    if (present) text += fmt::format(", {}", name);
  }
  return text;
}

void Cluster::FaultStep() {
  if (!faulty_) return;
  FaultNodes();
  FaultAgents();
  if (faults_.partitions && world_.Chance(0.5)) {
    Partition();
  } else if (world_.Chance(0.5)) {
    network_.MendAll();
  }
  world_.At(kNowhere, world_.now_ns() + world_.Between(50, 500) * kMs, [this] { FaultStep(); });
}

void Cluster::FaultNodes() {
  const uint64_t count = directory_.nodes.size();
  const uint64_t one = world_.Between(1, count);
  const HostId host = directory_.nodes.at(one).host;
  if (faults_.crashes && world_.Chance(0.3)) {
    const bool all = world_.Chance(0.1);
    for (uint64_t node = 1; node <= count; ++node) {
      if (all || node == one) PowerLoss(node, 0, world_.Between(1, 800) * kMs);
    }
  }
  if (faults_.restarts && world_.Chance(0.2)) {
    if (world_.IsUp(host)) world_.Count("restarts");
    EndNode(one, true);
    world_.At(kNowhere, world_.now_ns() + world_.Between(1, 300) * kMs,
              [this, one] { StartNode(one); });
  }
  if (faults_.pauses && world_.Chance(0.2)) {
    const uint64_t for_ns = world_.Between(10, 3'000) * kMs;
    world_.Note("n{} stands still for {} ms", one, for_ns / kMs);
    world_.Count("pauses");
    world_.Pause(host, world_.now_ns() + for_ns);
  }
  if (faults_.clock_steps && world_.Chance(0.3)) {
    const auto off_by_s = static_cast<int64_t>(world_.Between(0, 20)) - 10;
    world_.Note("n{}'s clock is set wrong by {} s", one, off_by_s);
    world_.Count("clock steps");
    world_.StepUnixClock(host, off_by_s * static_cast<int64_t>(kSecond));
  }
  FaultDisks(one);
}

void Cluster::FaultDisks(uint64_t node) {
  if (faults_.full_disks && world_.Chance(0.15)) {
    world_.Note("n{}'s disk is full", node);
    disks_.at(node)->faults.full_until_ns = world_.now_ns() + world_.Between(1, 1'000) * kMs;
  }
  if (faults_.hanging_disks && world_.Chance(0.15)) {
    const uint64_t leader = Leader();
    const uint64_t hangs = leader != 0 && world_.Chance(0.6) ? leader : node;
    const uint64_t for_ns = world_.Between(300, 4'500) * kMs;
    world_.Note("n{}'s disk hangs for {} ms", hangs, for_ns / kMs);
    disks_.at(hangs)->faults.hang_until_ns = world_.now_ns() + for_ns;
  }
  const bool may_lose = !operator_ || operator_->MayLose(node);
  if (faults_.damaged_disk && Lost() == 0 && may_lose && world_.Chance(0.1)) {
    world_.Note("n{}'s disk is damaged", node);
    world_.Count("damaged disks");
    disks_.at(node)->damaged = true;
    PowerLoss(node, 0, kMs);
  }
}

void Cluster::WatchHang(uint64_t node, uint64_t for_ns) {
  world_.Count("hanging writes");
  const uint64_t end_ns = world_.now_ns() + for_ns;
  const bool led = directory_.Find(node)->view().role == raft::Role::kLeader;
  const auto look = [this, node, for_ns, end_ns, led](const raft::View& view,
                                                      const raft::GroupState& group) {
    // Unless it stood still, and sees the end of it as well.
    if (world_.now_ns() >= end_ns) return;
    const bool leads = view.role == raft::Role::kLeader;
    if (led && !leads && !view.storage_problem.empty()) {
      world_.Count("leaders that gave up over a hanging disk");
    }
    const std::chrono::nanoseconds two_timeouts = 2 * group.election_timeout;
    const uint64_t limit_ns =
        std::max(kHangsNs, static_cast<uint64_t>(two_timeouts.count())) + kNoticeNs;
    if (!leads || for_ns <= limit_ns) return;
    referee_.Violate("n{} still leads {} ms after its disk has ceased to answer", node,
                     for_ns / kMs);
  };
  world_.At(directory_.nodes.at(node).host, end_ns - kMs, [this, node, look] {
    Controller* controller = directory_.Find(node);
    if (controller != nullptr && controller->node() != nullptr) controller->node()->Inspect(look);
  });
}

void Cluster::FaultAgents() {
  auto agent = agents_.begin();
  std::advance(agent, world_.Between(0, agents_.size() - 1));
  AgentPlace& place = agent->second;
  if (faults_.agent_crashes && place.agent && world_.Chance(0.15)) {
    world_.On(place.host, [&] {
      world_.Note("is killed");
      world_.Count("agents killed");
      world_.EndLife(place.host);
      place.agent.reset();
    });
    world_.At(kNowhere, world_.now_ns() + world_.Between(1, 4'000) * kMs,
              [this, id = agent->first] { StartAgent(id); });
  }
  if (faults_.pauses && world_.Chance(0.1)) {
    const uint64_t for_ns = world_.Between(10, 3'000) * kMs;
    world_.Note("{} stands still for {} ms", agent->first, for_ns / kMs);
    world_.Pause(place.host, world_.now_ns() + for_ns);
  }
}

void Cluster::Partition() {
  network_.MendAll();
  std::vector<HostId> hosts;
  for (const auto& [node, place] : directory_.nodes) hosts.push_back(place.host);
  for (const auto& [id, place] : agents_) hosts.push_back(place.host);
  std::vector<bool> side(hosts.size());
  for (size_t i = 0; i < hosts.size(); ++i) side[i] = world_.Chance(0.5);
  const double thoroughness = world_.Chance(0.6) ? 1.0 : 0.7;  // else some links stay, one way
  std::string apart;
  for (size_t i = 0; i < hosts.size(); ++i) {
    if (side[i]) apart += " " + world_.NameOf(hosts[i]);
    for (size_t j = 0; j < hosts.size(); ++j) {
      if (side[i] != side[j] && world_.Chance(thoroughness)) network_.Cut(hosts[i], hosts[j]);
    }
  }
  world_.Note("{} cut off:{}", thoroughness < 1.0 ? "partly" : "wholly", apart);
}

// Operators and supervisors bring everything back.
void Cluster::EndFaults() {
  world_.Note("faults end");
  faulty_ = false;
  network_.faults = {};
  network_.MendAll();
  for (auto& [node, disk] : disks_) disk->faults = {};
  for (auto& [node, place] : directory_.nodes) {
    world_.StepUnixClock(place.host, 0);
    world_.Pause(place.host, 0);
    StartNode(node);
  }
  for (auto& [id, place] : agents_) {
    world_.Pause(place.host, 0);
    StartAgent(id);
  }
  if (operator_) operator_->Mend();
}

// A process that has given up is started anew.
void Cluster::Watchdog() {
  for (auto& [node, place] : directory_.nodes) {
    if (!place.controller || place.controller->view().role != raft::Role::kUnavailable) continue;
    EndNode(node, false);
    StartNode(node);
  }
  world_.At(kNowhere, world_.now_ns() + 200 * kMs, [this] { Watchdog(); });
}

}  // namespace faultline::sim
