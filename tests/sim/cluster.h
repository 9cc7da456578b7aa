// A whole simulated system, and what goes wrong in it: controllers, agents and clients, as one seed
// decides.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/agent.h"
#include "sim/client.h"
#include "sim/disk.h"
#include "sim/operator.h"

namespace faultline::sim {

// What may go wrong, for a whole run; how much and when, the seed says.
struct Faults {
  NetworkFaults network;
  bool partitions = false;  // links are cut and mended, in one direction too
  bool crashes = false;     // controllers lose their power and come back
  bool restarts = false;    // controllers end in order and come back
  bool pauses = false;      // controllers and agents stand still for a while
  bool agent_crashes = false;
  bool clock_steps = false;  // Unix clocks jump
  DiskFaults disk;
  bool full_disks = false;
  bool hanging_disks = false;  // writes neither end nor fail for up to some seconds
  bool damaged_disk = false;   // one node finds its data unreadable at a restart
  bool members = false;        // nodes are added, promoted, removed, replaced and moved
  bool transfers = false;      // leadership is handed over on demand

  // A mix that the seed chooses.
  static Faults Random(World* world);
  std::string Text() const;
};

class Cluster {
 public:
  struct Options {
    uint64_t seed = 1;
    uint64_t nodes = 0;  // 0: the seed says, 3 or 5
    uint64_t faulty_ns = 4 * kSecond;
    std::optional<Faults> faults = std::nullopt;  // none: a mix that the seed chooses
  };
  explicit Cluster(const Options& options);
  ~Cluster();

  // Faults and clients; then the end of faults, after which everything must come to rest: the
  // group in order, every experiment ended, all members equal. Nodes that were removed and go on
  // disturb nobody. Returns what went wrong, in words; empty when nothing did.
  std::string Run();

  World& world() { return world_; }
  const Referee& referee() const { return referee_; }
  const history::ExperimentHistory& history() const { return history_; }

 private:
  struct AgentPlace {
    HostId host = kNowhere;
    uint64_t incarnation = 0;
    std::unique_ptr<Agent> agent;
  };

  std::string DataDir(uint64_t node) const;
  // A host and an empty disk; its process is not started.
  void Install(uint64_t node, bool told);
  void HireOperator();
  void StartNode(uint64_t node);
  void EndNode(uint64_t node, bool in_order);
  void PowerLoss(uint64_t node, uint64_t after_ns, uint64_t down_ns);
  void StartAgent(const std::string& id);
  void FaultStep();
  void FaultNodes();
  void FaultDisks(uint64_t node);
  void FaultAgents();
  // A leader whose disk does not answer must notice, and let others lead.
  void WatchHang(uint64_t node, uint64_t for_ns);
  void Partition();
  void EndFaults();
  void Watchdog();

  uint64_t Leader() const;  // 0: nobody leads, or two do
  uint64_t Lost() const;    // whose disk is damaged; 0: nobody's
  // Those of whom equality is demanded at the end.
  std::vector<uint64_t> Members() const;
  // Nodes that were removed and go on.
  std::vector<uint64_t> Leavers() const;
  bool IsAtRest(uint64_t node, uint64_t* revision);
  bool AtRest();
  // Runs until AtRest; what went wrong, else.
  std::string ComeToRest();
  std::string WatchLeavers();
  std::string Difference();
  std::string CheckEnd();

  const Options options_;
  World world_;
  Network network_;
  Referee referee_;
  history::ExperimentHistory history_;
  Directory directory_;
  Faults faults_;
  std::vector<raft::Member> first_members_;
  std::string folder_;  // of the nodes' snapshots
  std::map<uint64_t, std::unique_ptr<Disk>> disks_;
  std::map<std::string, AgentPlace> agents_;
  ClientWorld shared_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::optional<Operator> operator_;
  uint64_t snapshot_every_ = 0, snapshot_trailing_ = 0;
  uint64_t damaged_ = 0;        // node that never comes back
  std::set<uint64_t> stopped_;  // for good, by the operator
  bool faulty_ = true;
};

}  // namespace faultline::sim
