// What /readyz and /healthz say of a node whose disk is full, and of one that is behind.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "chaos/v1/agent.grpc.pb.h"
#include "tests/cluster/add_member.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/http_get.h"
#include "tests/cluster/sites.h"
#include "tests/cluster/test_agent.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

namespace fs = std::filesystem;

constexpr int kNodes = 3;
constexpr int kSick = 2;  // the node that it is about

class Readiness : public ::testing::Test {
 protected:
  Readiness() : ports_(FreePorts(kNodes)) {}

  void StartAll() {
    Cluster::Options options;
    options.nodes = kNodes;
    for (int node = 0; node < kNodes; ++node) {
      options.flags[node] = {"--http-listen", fmt::format("127.0.0.1:{}", port(node))};
    }
    cluster_ = std::make_unique<Cluster>(options);
  }
  int port(int node) const { return ports_[static_cast<size_t>(node)]; }
  bool BecomesReady(int node) const {
    return Eventually([&] { return Get(port(node), "/readyz").status == "200"; });
  }
  // Puts some 150 kB into the log: RocksDB has room set aside. An agent with many targets comes, as
  // the start of that number, and goes.
  void WriteMuch(uint64_t start) const {
    const auto stub = chaos::v1::AgentService::NewStub(
        grpc::CreateChannel(cluster_->api_address(0), grpc::InsecureChannelCredentials()));
    chaos::v1::ConnectRequest request;
    auto* agent = request.mutable_hello()->mutable_agent();
    agent->set_agent_id("large");
    agent->set_incarnation(start);
    for (int i = 0; i < 500; ++i) {
      auto* target = agent->add_targets();
      target->set_name(fmt::format("t{}", i));
      target->set_target_id("large/" + target->name());
      (*target->mutable_labels())["service"] = std::string(200, 'x');
    }
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReaderWriter<chaos::v1::ConnectRequest, chaos::v1::ConnectResponse>>
        stream;
    // Refused as long as the node knows no cluster.
    EXPECT_TRUE(Eventually([&] {
      if (stream) stream->Finish();
      context = std::make_unique<grpc::ClientContext>();
      context->set_deadline(std::chrono::system_clock::now() + kPatience);
      stream = stub->Connect(context.get());
      chaos::v1::ConnectResponse response;
      return stream->Write(request) && stream->Read(&response);
    }));
    const auto is_known = [&] {
      const auto agents = cluster_->Agents(0);
      return agents.ok() && std::ranges::any_of(agents->agents(), [&](const auto& known) {
               return known.agent_id() == "large" && known.incarnation() == start;
             });
    };
    EXPECT_TRUE(Eventually(is_known));
    context->TryCancel();
    stream->Finish();
  }

  // A delay in that direction on the target of a TestAgent; its id.
  std::string StartDelay(const std::string& direction) const {
    auto request = LatencyOn("service:checkout,version:v1", direction);
    (*request.mutable_parameters())["direction"] = direction;
    StatusOr<chaos::v1::Experiment> started;
    EXPECT_TRUE(Eventually([&] {
      started = cluster_->StartExperiment(0, request);
      return started.ok();
    })) << started.status();
    return started.ok() ? started->experiment_id() : "";
  }
  // Whether the node, asked to list experiments and for this one, shows it.
  bool Shows(int node, bool stale, const std::string& id) const {
    return Eventually([&] {
      const auto listed = cluster_->List(node, stale);
      return listed.ok() && cluster_->Get(node, id, stale).ok() &&
             std::ranges::any_of(listed->experiments(), [&](const auto& experiment) {
               return experiment.experiment_id() == id;
             });
    });
  }

  const std::vector<int> ports_;
  TempDir directory_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(Readiness, ANodeWithAFullDiskIsNotReadySaysWhyAndServesReadsUntilThereIsRoom) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting a small file system needs root";
  StartAll();
  TestAgent agent({.controllers = {cluster_->api_address(0)}});
  const std::string place = cluster_->data_dir(kSick);
  cluster_->process(kSick).Kill();
  const std::string saved = directory_.path() + "/saved";
  fs::rename(place, saved);
  fs::create_directory(place);
  if (mount("faultline-test", place.c_str(), "tmpfs", 0, "size=40m") != 0) {
    GTEST_SKIP() << "tmpfs cannot be mounted here";
  }
  struct Unmount {
    std::string place;
    ~Unmount() { umount2(place.c_str(), MNT_DETACH); }
  } const unmount{place};
  fs::copy(saved, place, fs::copy_options::recursive);
  cluster_->Start(kSick);
  ASSERT_TRUE(BecomesReady(kSick)) << cluster_->process(kSick).log();
  const std::string before = StartDelay("egress");

  const std::string filler = place + "/filler";
  std::ofstream(filler) << std::string(64 << 20, 'x');  // as much of it as there is room for
  Answer ready;
  uint64_t written = 0;
  EXPECT_TRUE(Eventually([&] {
    WriteMuch(++written);
    ready = Get(port(kSick), "/readyz");
    // Before it is full, a write may only have taken too long.
    return ready.status == "503" && ready.body.starts_with("the disk refuses: ") &&
           ready.body.find("is full") != std::string::npos;
  })) << ready.body;
  // Starting it again would make no room.
  EXPECT_EQ(Get(port(kSick), "/healthz").status, "200");
  EXPECT_NE(Get(port(kSick), "/metrics").body.find("faultline_raft_storage_ok 0\n"),
            std::string::npos);
  EXPECT_TRUE(BecomesReady(0)) << "the others go on";

  // It serves what it has, and what the others commit meanwhile, as they do.
  EXPECT_TRUE(Shows(kSick, /*stale=*/true, before));
  const std::string during = StartDelay("ingress");
  for (int node = 0; node < kNodes; ++node) {
    for (const bool stale : {false, true}) {
      EXPECT_TRUE(Shows(node, stale, during)) << "node " << node + 1 << (stale ? ", stale" : "");
    }
  }
  EXPECT_EQ(Get(port(kSick), "/readyz").status, "503") << "all that with a full disk";

  // Without them its clients hear what is wrong with it, and not that it finds no majority.
  for (const int node : {0, 1}) cluster_->process(node).Kill();
  EXPECT_TRUE(Shows(kSick, /*stale=*/true, during));
  const Status alone = cluster_->List(kSick).status();
  ASSERT_TRUE(DetailOf(alone).has_value()) << alone;
  EXPECT_EQ(DetailOf(alone)->reason(), "STORAGE_FAILED");
  EXPECT_THAT(alone.ToString(), testing::HasSubstr("node 3 can store nothing at present"));
  for (const int node : {0, 1}) cluster_->Start(node);

  fs::remove(filler);
  EXPECT_TRUE(BecomesReady(kSick));
  cluster_->process(kSick).Kill();
}

// A learner, which stands for no election: without its leader's entries it waits.
class Learner : public Readiness {
 protected:
  static constexpr int kId = kNodes + 1;

  Learner() {
    const auto ports = FreePorts(3);
    peer_ = ports[0];
    http_ = ports[1];
    api_ = ports[2];
  }
  void Add() {
    const auto at = [](int port) { return fmt::format("127.0.0.1:{}", port); };
    learner_ = std::make_unique<Process>(
        std::vector<std::string>{Cluster::DefaultProgram(), "--id", std::to_string(kId),
                                 "--data-dir", directory_.path() + "/learner", "--api-listen",
                                 at(api_), "--peer-listen", at(peer_), "--http-listen", at(http_),
                                 "--join", cluster_->peer_address(0)},
        directory_.path() + "/learner.log");
    const Status added = AddMember(*cluster_, kId, at(peer_));
    ASSERT_TRUE(added.ok()) << added;
  }
  Answer Ready() const { return Get(http_, "/readyz"); }

  int peer_ = 0, http_ = 0, api_ = 0;
  std::unique_ptr<Process> learner_;
};

// While it is there, no connection that leads to the port carries anything.
class Cut {
 public:
  explicit Cut(int port) {
    EXPECT_EQ(
        Shell(fmt::format("nft 'table inet cut {{ chain c {{ type filter hook output priority "
                          "0; tcp dport {} drop; }}; }}'",
                          port))
            .text,
        "");
  }
  ~Cut() { Mend(); }
  static void Mend() { Shell("nft delete table inet cut"); }
};

TEST_F(Learner, ThatIsBehindIsNotReadyAndSaysHowFarItIsUntilItHasCaughtUp) {
  const std::string why = Sites::EnterOwnNamespace();
  if (!why.empty()) GTEST_SKIP() << why;
  if (Shell("nft list tables").code != 0) GTEST_SKIP() << "nft does not work here";
  StartAll();
  Add();
  ASSERT_TRUE(Eventually([&] { return Ready().status == "200"; })) << learner_->log();

  // Nothing that begins at another node comes to it any more; what it asks for is answered, until
  // it has lost sight of the leader. So what it lacks is written at once; and if not fast enough,
  // again.
  Answer ready;
  unsigned leader = 0, applied = 0, committed = 0;
  uint64_t start = 0;
  EXPECT_TRUE(Eventually([&] {
    const Cut cut(peer_);
    WriteMuch(++start);
    ready = Ready();
    if (ready.status == "503" &&
        std::sscanf(ready.body.c_str(), "catching up with leader %u: applied %u of at least %u",
                    &leader, &applied, &committed) == 3) {
      EXPECT_EQ(Get(http_, "/healthz").status, "200") << "starting it again would not help";
      for (int node = 0; node < kNodes; ++node) EXPECT_TRUE(BecomesReady(node)) << "others go on";
      return true;
    }
    cut.Mend();
    EXPECT_TRUE(Eventually([&] { return Ready().status == "200"; })) << learner_->log();
    return false;
  })) << ready.body;
  EXPECT_THAT(leader, testing::AllOf(testing::Ge(1u), testing::Le(unsigned{kNodes})));
  EXPECT_GT(applied, 0u);
  EXPECT_LT(applied, committed);
  EXPECT_TRUE(Eventually([&] { return Ready().status == "200"; })) << learner_->log();
}

}  // namespace
}  // namespace faultline::cluster
