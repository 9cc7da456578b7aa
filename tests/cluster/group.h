// Controllers whose members change: each is started, added, promoted and removed by itself.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/client.h"
#include "tests/cluster/cluster.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {

// Nodes that begin at different times and under different conditions.
class Group {
 public:
  explicit Group(int most) : ports_(FreePorts(2 * most)) {}

  std::string Api(uint64_t id) const { return fmt::format("127.0.0.1:{}", ports_[2 * id - 2]); }
  std::string Peer(uint64_t id) const { return fmt::format("127.0.0.1:{}", ports_[2 * id - 1]); }
  std::string Dir(uint64_t id) const { return fmt::format("{}/node-{}", directory_.path(), id); }

  // `how`: {"--members", ...} or {"--join", ...} or nothing.
  void Start(uint64_t id, const std::vector<std::string>& how, const std::string& dir = "") {
    std::vector<std::string> command = {std::string(FAULTLINE_BIN_DIR) + "/faultline-controller",
                                        "--id",
                                        fmt::format("{}", id),
                                        "--data-dir",
                                        dir.empty() ? Dir(id) : dir,
                                        "--api-listen",
                                        Api(id),
                                        "--peer-listen",
                                        Peer(id)};
    command.insert(command.end(), how.begin(), how.end());
    how_[id] = how;
    nodes_[id] =
        std::make_unique<Process>(command, fmt::format("{}/node-{}.log", directory_.path(), id));
  }
  void Restart(uint64_t id) { Start(id, how_[id]); }
  // From its next start on the node listens to others where `spare`, which never starts, would.
  void Move(uint64_t id, uint64_t spare) { std::swap(ports_[2 * id - 1], ports_[2 * spare - 1]); }
  // Of nodes 1 to `count`, as --members takes them.
  std::string MembersFlag(uint64_t count, const std::string& host = "127.0.0.1") const {
    std::string members;
    for (uint64_t id = 1; id <= count; ++id) {
      members += fmt::format("{}{}={}:{}", id == 1 ? "" : ",", id, host, ports_[2 * id - 1]);
    }
    return members;
  }
  void StartTogether(uint64_t count, const std::string& host = "127.0.0.1") {
    const std::string members = MembersFlag(count, host);
    for (uint64_t id = 1; id <= count; ++id) Start(id, {"--members", members});
    EXPECT_NE(WaitForLeader(), 0u);
  }
  Process& node(uint64_t id) { return *nodes_.at(id); }
  // With what came from a file, ends as after SIGTERM; its exit code.
  int Terminate(uint64_t id) {
    node(id).Signal(SIGTERM);
    return node(id).Wait();
  }

  // Of all nodes that were started, or of one.
  std::unique_ptr<client::Client> Connect(uint64_t only = 0) const {
    client::Options options;
    for (const auto& [id, process] : nodes_) {
      if (only != 0 && id != only) continue;
      options.addresses += (options.addresses.empty() ? "" : ",") + Api(id);
    }
    options.timeout = std::chrono::seconds(20);
    auto connected = client::Client::Create(options);
    EXPECT_TRUE(connected.ok()) << connected.status();
    return *std::move(connected);
  }

  chaos::v1::GetClusterResponse Look(uint64_t at = 0) const {
    const auto cluster = Connect(at)->GetCluster({});
    return cluster.ok() ? *cluster : chaos::v1::GetClusterResponse();
  }
  // As a leader sees it. Without one an empty answer, after all patience.
  chaos::v1::GetClusterResponse LookWhenLed(uint64_t at = 0) const {
    chaos::v1::GetClusterResponse cluster;
    const auto is_led = [&] {
      cluster = Look(at);
      return cluster.has_quorum() && cluster.leader_id() != 0;
    };
    return Eventually(is_led) ? cluster : chaos::v1::GetClusterResponse();
  }
  uint64_t WaitForLeader(uint64_t at = 0) const { return LookWhenLed(at).leader_id(); }

  // Asked of all nodes that were started, or of the node `at`.
  Status Add(uint64_t id, uint64_t at = 0) {
    chaos::v1::AddMemberRequest request;
    request.set_node_id(id);
    request.set_address(Peer(id));
    return Connect(at)->AddMember(request).status();
  }
  Status Promote(uint64_t id, uint64_t at = 0) {
    chaos::v1::PromoteMemberRequest request;
    request.set_node_id(id);
    return Connect(at)->PromoteMember(request).status();
  }
  Status Remove(uint64_t id, uint64_t at = 0) {
    chaos::v1::RemoveMemberRequest request;
    request.set_node_id(id);
    return Connect(at)->RemoveMember(request).status();
  }
  Status Transfer(uint64_t to, uint64_t at = 0) {
    chaos::v1::TransferLeadershipRequest request;
    request.set_node_id(to);
    return Connect(at)->TransferLeadership(request).status();
  }
  // Asks for a change until the node `at` shows what came of it: a machine that is busy may make
  // it too late, or the leader refuse it because another member seems to be away. A first try that
  // makes it does not end as a refusal.
  bool Change(const std::function<Status()>& change,
              const std::function<bool(const chaos::v1::GetClusterResponse&)>& is_made,
              uint64_t at = 0) {
    const bool is_new = !is_made(Look(at));
    Status last;
    int tries = 0;
    chaos::v1::GetClusterResponse cluster;
    const bool made = Eventually([&] {
      last = change();
      ++tries;
      cluster = Look(at);
      return cluster.has_quorum() && !cluster.change_pending() && is_made(cluster);
    });
    EXPECT_TRUE(made) << last << "\n" << cluster.DebugString();
    const bool is_refusal = !last.ok() && last.code() != StatusCode::kUnavailable &&
                            last.code() != StatusCode::kDeadlineExceeded;
    EXPECT_FALSE(is_new && made && tries == 1 && is_refusal) << last;
    return made;
  }
  bool Added(uint64_t id, uint64_t at = 0) {
    return Change([&] { return Add(id, at); },
                  [&](const auto& cluster) { return IsMember(cluster, id); }, at);
  }
  bool Promoted(uint64_t id, uint64_t at = 0) {
    return Change([&] { return Promote(id, at); },
                  [&](const auto& cluster) { return IsMember(cluster, id, /*voter=*/true); }, at);
  }
  bool Removed(uint64_t id, uint64_t at = 0) {
    return Change([&] { return Remove(id, at); },
                  [&](const auto& cluster) { return !IsMember(cluster, id); }, at);
  }
  bool Transferred(uint64_t to, uint64_t at = 0) {
    return Change([&] { return Transfer(to, at); },
                  [&](const auto& cluster) { return cluster.leader_id() == to; }, at);
  }
  // A new node, from its start to its vote.
  void Grow(uint64_t id) {
    Start(id, {"--join", Peer(1)});
    ASSERT_TRUE(Added(id) && Promoted(id)) << node(id).log();
  }

  // Whether the node is a member; with `voter`, one that votes.
  static bool IsMember(const chaos::v1::GetClusterResponse& cluster, uint64_t id,
                       bool voter = false) {
    for (const auto& member : cluster.members()) {
      if (member.node_id() == id) return member.voter() || !voter;
    }
    return false;
  }
  // The voters, and learners in brackets.
  static std::string Members(const chaos::v1::GetClusterResponse& cluster) {
    std::string text;
    for (const auto& member : cluster.members()) {
      if (!text.empty()) text += ' ';
      text += member.voter() ? fmt::format("{}", member.node_id())
                             : fmt::format("({})", member.node_id());
    }
    return text;
  }

 private:
  std::vector<int> ports_;
  TempDir directory_;
  std::map<uint64_t, std::vector<std::string>> how_;
  std::map<uint64_t, std::unique_ptr<Process>> nodes_;
};

// `faultline cluster`, as an operator gives it to the node `at`: again when it is refused because a
// member seems to be away, as on a busy machine.
inline Ended ClusterCommand(const Group& group, std::vector<std::string> arguments,
                            uint64_t at = 1) {
  arguments.insert(arguments.begin(), "cluster");
  arguments.insert(arguments.end(), {"--timeout", "60s", "--address", group.Api(at)});
  Ended ended;
  Eventually([&] {
    ended = RunToEnd("faultline", arguments);
    return ended.text.find("cannot be reached") == std::string::npos;
  });
  return ended;
}

}  // namespace faultline::cluster
