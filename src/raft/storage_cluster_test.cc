// Real nodes, a real small file system that is full, and a link that breaks: the disk of one node
// never stops the others, and a snapshot arrives in the end.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/strand.h"
#include "raft/test_cluster.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

// A file system in memory at `path`, as long as this object lives.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    fs::create_directories(path_);
    mounted_ = mount("faultline-test", path_.c_str(), "tmpfs", 0, "size=40m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

  void Fill() {
    std::ofstream file(path_ + "/filler", std::ios::binary);
    const std::string block(4'096, 'f');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void MakeRoom() { fs::remove(path_ + "/filler"); }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST(StorageClusterTest, ALeaderWhoseDiskIsFullStepsDownServesWhatItHasAndComesBackByItself) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting a small file system needs root";
  Cluster cluster(3);
  SmallDisk disk(cluster.dir(1));
  if (!disk.mounted()) GTEST_SKIP() << "tmpfs cannot be mounted here";
  cluster.StartAll();
  std::vector<std::string> commands;
  const auto commit = [&](const std::string& text) {
    commands.push_back(fmt::format("{} {}", commands.size(), text));
    cluster.Commit(commands.back());
  };
  commit("first");
  ASSERT_TRUE(cluster.WaitUntil([&] {
    const uint64_t leader = cluster.WaitForLeader();
    if (leader <= 1) return leader == 1;
    std::promise<void> done;
    cluster.node(leader).Transfer(1, [&](const Status&) { done.set_value(); });
    done.get_future().wait();
    return false;
  }));
  commit("led by 1");

  disk.Fill();
  const std::string large(200'000, 'x');
  // Before it is, a write may only have taken too long.
  const auto is_full = [&] {
    return cluster.node(1).GetView().storage_problem.find("full") != std::string::npos;
  };
  // RocksDB has some room set aside.
  for (int i = 0; i < 60 && !is_full(); ++i) commit(large);
  ASSERT_TRUE(cluster.WaitUntil(is_full));
  commit("with a full disk");
  EXPECT_NE(cluster.WaitForLeader(), 1u) << "the others go on";
  const View full = cluster.node(1).GetView();
  EXPECT_NE(full.role, Role::kLeader);
  EXPECT_NE(full.storage_problem.find("full"), std::string::npos) << full.storage_problem;
  EXPECT_EQ(cluster.node(1).QuorumAge(), std::chrono::nanoseconds::max());
  EXPECT_TRUE(cluster.WaitUntil([&] {
    return cluster.machine(1).commands().back() == commands.back();
  })) << "it goes on applying what the others commit";
  EXPECT_TRUE(is_full());
  std::promise<Status> refused;
  cluster.node(1).Propose("no", [&](const auto& result) { refused.set_value(result.status()); });
  const Status refusal = refused.get_future().get();
  EXPECT_EQ(refusal.code(), StatusCode::kUnavailable);
  EXPECT_EQ(DetailOf(refusal)->reason(), "STORAGE_FAILED");

  disk.MakeRoom();
  EXPECT_TRUE(cluster.WaitUntil([&] { return cluster.node(1).GetView().storage_problem.empty(); }));
  commit("after it");
  EXPECT_TRUE(
      cluster.WaitUntil([&] { return cluster.machine(1).commands().back() == commands.back(); }));
  // And it is on its disk.
  cluster.Stop(1);
  cluster.Start(1);
  EXPECT_TRUE(cluster.WaitUntil([&] {
    return cluster.machine(1).size() > 0 && cluster.machine(1).commands().back() == commands.back();
  }));
  const auto held = cluster.machine(1).commands();
  EXPECT_TRUE(cluster.WaitUntil([&] { return cluster.machine(2).commands() == held; }));
  for (const std::string& command : commands) {
    EXPECT_NE(std::find(held.begin(), held.end(), command), held.end()) << command.substr(0, 20);
  }
}

// Nodes in one process; fetches break after some bytes.
class BreakingTransport final : public Transport {
 public:
  using Nodes = std::map<uint64_t, std::unique_ptr<Node>>;
  BreakingTransport(uint64_t own_id, Nodes* nodes, std::mutex* mutex)
      : own_id_(own_id), nodes_(nodes), mutex_(mutex) {}

  void Send(const Member& to, std::string message) override {
    way_.Post([this, id = to.id, message = std::move(message)]() mutable {
      const std::lock_guard lock(*mutex_);
      const auto found = nodes_->find(id);
      if (found != nodes_->end()) found->second->Receive(own_id_, std::move(message));
    });
  }
  Status FetchSnapshot(const Member& from, const Snapshot& wanted, uint64_t offset,
                       const ByteSink& sink) override {
    ++fetches;
    const std::lock_guard lock(*mutex_);
    const auto found = nodes_->find(from.id);
    if (found == nodes_->end()) return absl::UnavailableError("it is away");
    FL_ASSIGN_OR_RETURN(auto bytes, found->second->ReadSnapshot(wanted, offset));
    FL_ASSIGN_OR_RETURN(const std::string_view piece, bytes->Next());
    FL_RETURN_IF_ERROR(sink(piece.substr(0, 50'000)));
    return absl::UnavailableError("the link broke");
  }
  void StopFetching() override {}

  std::atomic<int> fetches = 0;

 private:
  const uint64_t own_id_;
  Nodes* const nodes_;
  std::mutex* const mutex_;
  Strand way_{"way"};
};

TEST(StorageClusterTest, ASnapshotOverALinkThatKeepsBreakingArrivesPieceByPiece) {
  const TestDir dir;
  std::mutex mutex;
  BreakingTransport::Nodes nodes;
  std::map<uint64_t, std::unique_ptr<BreakingTransport>> transports;
  std::map<uint64_t, TestMachine> machines;
  const auto start = [&](uint64_t id) {
    Options options;
    options.id = id;
    options.members = {{1, "a:1"}, {2, "b:1"}, {3, "c:1"}};
    options.data_dir = dir.path() + "/" + std::to_string(id);
    options.election_timeout = std::chrono::milliseconds(150);
    options.heartbeat = std::chrono::milliseconds(30);
    options.snapshot_every = 10;
    options.snapshot_trailing = 2;
    options.snapshot_trailing_most = 2;
    transports[id] = std::make_unique<BreakingTransport>(id, &nodes, &mutex);
    auto node = Node::Start(options, &machines[id], transports[id].get());
    ASSERT_TRUE(node.ok()) << node.status();
    const std::lock_guard lock(mutex);
    nodes[id] = *std::move(node);
  };
  start(1);
  start(2);
  std::mt19937 random(1);
  size_t committed = 0;
  // Text that hardly shrinks.
  const auto text = [&] {
    std::string bytes(30'000, 'a');
    for (char& c : bytes) c = static_cast<char>('!' + random() % 90);
    return bytes;
  };
  const auto propose = [&] {
    for (const uint64_t id : {1, 2}) {
      std::promise<bool> done;
      nodes[id]->Propose(text(), [&](const auto& result) { done.set_value(result.ok()); });
      committed += done.get_future().get();
    }
  };
  ASSERT_TRUE(Cluster::WaitUntil([&] {
    propose();
    return committed >= 40;
  }));
  start(3);
  EXPECT_TRUE(Cluster::WaitUntil([&] { return machines[3].size() >= 40; }));
  EXPECT_GE(machines[3].restores(), 1);
  EXPECT_GE(transports[3]->fetches, 10) << "in many pieces";
  // Nodes call each other: all end before one is destroyed.
  BreakingTransport::Nodes ending;
  {
    const std::lock_guard lock(mutex);
    ending.swap(nodes);
  }
}

}  // namespace
}  // namespace faultline::raft
