// Data directories and saved snapshots of real nodes: looked at, damaged, repaired, saved, and the
// beginning of another cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr char kSelector[] = "service:checkout,version:v1";

Ended Offline(const std::string& command, const std::string& dir,
              const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {command, dir};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return RunToEnd("faultline-controller", arguments);
}
Ended Snapshot(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"cluster", "snapshot"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return RunToEnd("faultline", all);
}

bool Active(Cluster& cluster, int node, const std::string& id) {
  return cluster.WaitForPhase(node, id, chaos::v1::TARGET_PHASE_ACTIVE);
}

chaos::v1::StartExperimentRequest Ingress() {
  auto request = LatencyOn(kSelector);
  (*request.mutable_parameters())["direction"] = "ingress";
  return request;
}

// Moves every node's directory away, and restores it from the file: of one experiment that had not
// ended.
void RestoreAll(Cluster& cluster, const std::string& file) {
  std::string members;
  for (int node = 0; node < cluster.size(); ++node) {
    members += fmt::format("{}{}={}", node == 0 ? "" : ",", node + 1, cluster.peer_address(node));
  }
  for (int node = 0; node < cluster.size(); ++node) {
    const auto restore = [&] {
      return Snapshot({"restore", file, "--data-dir", cluster.data_dir(node), "--id",
                       fmt::format("{}", node + 1), "--members", members});
    };
    const Ended occupied = restore();
    EXPECT_EQ(occupied.code, 2) << occupied.text;
    fs::rename(cluster.data_dir(node), cluster.data_dir(node) + ".old");
    const Ended restored = restore();
    ASSERT_EQ(restored.code, 0) << restored.text;
    EXPECT_THAT(restored.text, HasSubstr("1 experiment that had not ended: ended"));
  }
}

TEST(Snapshots, AClusterThatLostItsMajorityGoesOnAsAnotherAndItsAgentsFollow) {
  Cluster cluster({.nodes = 3});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  const auto running = cluster.StartExperiment(0, LatencyOn(kSelector));
  ASSERT_TRUE(running.ok()) << running.status();
  ASSERT_TRUE(Active(cluster, 0, running->experiment_id()));
  const auto ended = cluster.StartExperiment(0, Ingress());
  ASSERT_TRUE(ended.ok()) << ended.status();
  ASSERT_TRUE(Active(cluster, 0, ended->experiment_id()));
  ASSERT_TRUE(cluster.Stop(0, ended->experiment_id(), 20).ok());
  const std::string old_cluster = agent.cluster_id();

  const TempDir directory;
  const std::string saved = directory.path() + "/saved", last = directory.path() + "/last";
  const std::string all = fmt::format("{},{},{}", cluster.api_address(0), cluster.api_address(1),
                                      cluster.api_address(2));
  const Ended save = Snapshot({"save", saved, "--address", all});
  EXPECT_EQ(save.code, 0) << save.text;
  EXPECT_THAT(save.text, HasSubstr("saved cluster " + old_cluster));
  EXPECT_THAT(save.text, HasSubstr("2 experiments (1 not ended), 1 agent"));
  EXPECT_THAT(save.text, HasSubstr("with everything acknowledged before"));

  const int survivor = cluster.Follower();
  ASSERT_TRUE(Eventually([&] {
    const auto known = cluster.Get(survivor, ended->experiment_id(), /*stale=*/true);
    return known.ok() && known->status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED;
  }));
  for (int node = 0; node < 3; ++node) {
    if (node != survivor) cluster.process(node).Kill();
  }
  const std::string address = cluster.api_address(survivor);
  const Ended refused = Snapshot({"save", last, "--address", address, "--timeout", "2s"});
  EXPECT_EQ(refused.code, 3) << refused.text;
  EXPECT_FALSE(fs::exists(last));
  const Ended stale = Snapshot({"save", last, "--stale", "--address", address});
  EXPECT_EQ(stale.code, 0) << stale.text;
  EXPECT_THAT(stale.text, HasSubstr(fmt::format("node {}'s own state", survivor + 1)));
  const Ended inspected = Snapshot({"inspect", last});
  EXPECT_EQ(inspected.code, 0) << inspected.text;
  EXPECT_THAT(inspected.text, HasSubstr(old_cluster));
  cluster.process(survivor).Kill();

  RestoreAll(cluster, last);
  if (testing::Test::HasFatalFailure()) return;
  for (int node = 0; node < 3; ++node) cluster.Start(node);
  ASSERT_GE(cluster.WaitForLeader(), 0);

  ASSERT_TRUE(Eventually([&] {
    const auto experiment = cluster.Get(0, running->experiment_id());
    return experiment.ok() && experiment->status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED;
  }));
  const auto experiment = cluster.Get(0, running->experiment_id());
  EXPECT_THAT(experiment->reason(), HasSubstr("restored"));
  EXPECT_EQ(experiment->targets(0).phase(), chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_EQ(agent.desired(), 0u);
  EXPECT_NE(agent.cluster_id(), old_cluster);
  EXPECT_EQ(cluster.Get(0, ended->experiment_id())->ended_at().seconds(),
            cluster.Get(1, ended->experiment_id())->ended_at().seconds());
  const size_t grants = agent.grants();
  EXPECT_TRUE(Eventually([&] { return agent.grants() > grants + 2; }));
  EXPECT_EQ(agent.last_grant().version().cluster_id(), agent.cluster_id());
  const auto next = cluster.StartExperiment(1, LatencyOn(kSelector));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE(Active(cluster, 1, next->experiment_id()));
  EXPECT_EQ(cluster.List(2)->experiments_size(), 3);
}

TEST(Snapshots, ANodeOfTheOldClusterIsRefusedByTheRestoredOne) {
  Cluster cluster({.nodes = 1});
  const TempDir directory;
  const std::string saved = directory.path() + "/saved";
  ASSERT_EQ(Snapshot({"save", saved, "--address", cluster.api_address(0)}).code, 0);
  cluster.process(0).Kill();
  const auto ports = FreePorts(2);
  const std::string second = fmt::format("127.0.0.1:{}", ports[0]);
  const std::string members = fmt::format("1={},2={}", cluster.peer_address(0), second);
  const Ended restored = Snapshot({"restore", saved, "--data-dir", directory.path() + "/two",
                                   "--id", "2", "--members", members, "--json"});
  ASSERT_EQ(restored.code, 0) << restored.text;
  EXPECT_THAT(restored.text, HasSubstr("\"node_id\":\"2\""));
  Process process(
      {std::string(FAULTLINE_BIN_DIR) + "/faultline-controller", "--id", "2", "--data-dir",
       directory.path() + "/two", "--api-listen", fmt::format("127.0.0.1:{}", ports[1]),
       "--peer-listen", second, "--members", members},
      directory.path() + "/two.log");
  cluster.Start(0);  // still with its old directory
  EXPECT_TRUE(Eventually([&] {
    return process.log().find("refuses this node: node 2 comes from cluster") != std::string::npos;
  })) << process.log();
  EXPECT_TRUE(Eventually([&] {
    return cluster.process(0).log().find("refused a node: node 2 comes from cluster") !=
           std::string::npos;
  }));
}

// The write-ahead log with the most in it.
fs::path Wal(const std::string& dir) {
  fs::path largest;
  for (const auto& file : fs::directory_iterator(dir)) {
    if (file.path().extension() != ".log") continue;
    if (largest.empty() || file.file_size() > fs::file_size(largest)) largest = file.path();
  }
  return largest;
}

TEST(Directories, ADamagedOneIsRefusedSaidToBeAndRepaired) {
  Cluster cluster({});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    const auto started = cluster.StartExperiment(0, LatencyOn(kSelector));
    ASSERT_TRUE(started.ok()) << started.status();
    ids.push_back(started->experiment_id());
    ASSERT_TRUE(cluster.Stop(0, ids.back(), 20).ok());
  }
  const std::string dir = cluster.data_dir(0);
  const Ended in_use = Offline("check", dir);
  EXPECT_EQ(in_use.code, 2) << in_use.text;
  EXPECT_THAT(in_use.text, HasSubstr("another process is using the data directory"));
  EXPECT_EQ(Offline("repair", dir).code, 2);
  cluster.process(0).Signal(SIGTERM);
  EXPECT_EQ(cluster.process(0).Wait(), 0);

  const Ended fine = Offline("check", dir);
  EXPECT_EQ(fine.code, 0) << fine.text;
  EXPECT_THAT(fine.text, HasSubstr("20 experiments (0 not ended), 1 agent"));
  EXPECT_THAT(Offline("check", dir, {"--json"}).text, HasSubstr("\"damaged\":false"));
  const Ended exported = Offline("export", dir);
  EXPECT_EQ(exported.code, 0);
  EXPECT_EQ(std::count(exported.text.begin(), exported.text.end(), '\n'), 22) << exported.text;
  EXPECT_THAT(exported.text, HasSubstr("\"experiment_id\":\"" + ids[7] + "\""));
  EXPECT_THAT(Offline("repair", dir).text, HasSubstr("nothing is damaged, and nothing was done"));

  const fs::path wal = Wal(dir);
  std::fstream file(wal, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(fs::file_size(wal) / 2));
  file.put('\x7f');
  file.close();
  cluster.Start(0);
  EXPECT_EQ(cluster.process(0).Wait(), 2);
  EXPECT_THAT(cluster.process(0).log(), HasSubstr(wal.string() + " is damaged at offset"));
  EXPECT_THAT(cluster.process(0).log(),
              HasSubstr("; 'faultline-controller check " + dir + "' tells more, and what to do\n"));
  const Ended damaged = Offline("check", dir);
  EXPECT_EQ(damaged.code, 1) << damaged.text;
  EXPECT_THAT(damaged.text, HasSubstr(wal.string() + " at offset"));
  EXPECT_EQ(Offline("export", dir).code, 1);
  const Ended repaired = Offline("repair", dir);
  EXPECT_EQ(repaired.code, 0) << repaired.text;
  EXPECT_THAT(repaired.text, HasSubstr(wal.string() + " from offset"));
  EXPECT_TRUE(fs::exists(dir + ".damaged/" + wal.filename().string()));

  cluster.Start(0);
  ASSERT_TRUE(Eventually([&] {
    return cluster.process(0).log().find("is now leader of term 100") != std::string::npos;
  })) << cluster.process(0).log();
  EXPECT_TRUE(cluster.Get(0, ids[0]).ok());
  EXPECT_FALSE(cluster.Get(0, ids[19]).ok()) << "it stood behind the damage";
  // One's stop may have stood behind the damage, too.
  const auto list = cluster.List(0);
  ASSERT_TRUE(list.ok()) << list.status();
  for (const auto& listed : list->experiments()) {
    ASSERT_TRUE(cluster.Stop(0, listed.experiment_id(), 20).ok());
  }
  const size_t grants = agent.grants();
  EXPECT_TRUE(Eventually([&] { return agent.grants() > grants; }));
}

TEST(Directories, WrongUseIsSaid) {
  const TempDir directory;
  const Ended other = Offline("check", directory.path());
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.text, HasSubstr("is no data directory of a controller"));
  EXPECT_EQ(Offline("check", directory.path() + "/none").code, 2);
  EXPECT_EQ(Offline("check", directory.path(), {"--no-such-flag"}).code, 2);
  EXPECT_EQ(Offline("repair", directory.path(), {"--id", "none"}).code, 2);
  EXPECT_EQ(Snapshot({"inspect", directory.path() + "/none"}).code, 2);
  std::ofstream(directory.path() + "/text") << "not a snapshot";
  const Ended text = Snapshot({"inspect", directory.path() + "/text"});
  EXPECT_EQ(text.code, 1);
  EXPECT_THAT(text.text, HasSubstr("damaged at offset 0"));
  EXPECT_EQ(Snapshot({"restore", directory.path() + "/text", "--data-dir", "x"}).code, 2);
}

}  // namespace
}  // namespace faultline::cluster
