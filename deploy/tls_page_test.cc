// The page about TLS: what its commands make and what its configurations name goes together, and
// serves for what the page says and for nothing else.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "agent/config.h"
#include "rpc/certificate.h"
#include "rpc/credentials.h"
#include "rpc/status.h"
#include "server/config.h"
#include "server/v1/peer.grpc.pb.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline {
namespace {

using cluster::Cluster;
using cluster::Eventually;
using cluster::kPatience;
using cluster::TempDir;
using cluster::TestAgent;
using testing::HasSubstr;

constexpr const char* kController = "node1.example.org";
constexpr const char* kAgent = "web-1.example.org";
constexpr const char* kPerson = "alice";

// The page's blocks in that language, in their order.
std::vector<std::string> Blocks(const std::string& language) {
  std::ifstream page(FAULTLINE_SOURCE_DIR "/docs/tls.md");
  std::vector<std::string> blocks;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("```")) {
      inside = !inside && line == "```" + language;
      if (inside) blocks.emplace_back();
    } else if (inside) {
      blocks.back() += line + "\n";
    }
  }
  return blocks;
}

// The YAML block that begins with a comment of that name.
std::string Configuration(const std::string& name) {
  for (const std::string& block : Blocks("yaml")) {
    if (block.starts_with("# " + name + "\n")) return block;
  }
  ADD_FAILURE() << "the page has no " << name;
  return "";
}

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

class TlsPage : public testing::Test {
 protected:
  // What the commands make, in an empty directory as the page has it.
  static void SetUpTestSuite() {
    made_ = new TempDir;
    const TempDir elsewhere;
    const std::string script = elsewhere.path() + "/page.sh", log = elsewhere.path() + "/log";
    std::ofstream(script) << fmt::format("{}", fmt::join(Blocks("bash"), "\n"));
    const int code = std::system(
        fmt::format("cd {} && bash -euo pipefail {} > {} 2>&1", made_->path(), script, log)
            .c_str());
    std::ostringstream told;
    told << std::ifstream(log).rdbuf();
    ASSERT_EQ(code, 0) << told.str();
  }
  static void TearDownTestSuite() {
    delete made_;
    made_ = nullptr;
  }

  static rpc::TlsFiles FilesOf(const std::string& name) {
    const std::string path = made_->path() + "/";
    return {path + "ca.pem", path + name + ".pem", path + name + ".key"};
  }

  static StatusOr<server::Config> Controller() {
    const std::string path = made_->path() + "/controller.yaml";
    std::ofstream(path) << Configuration("controller.yaml");
    FL_ASSIGN_OR_RETURN(server::Config config, server::ReadConfig(path));
    FL_RETURN_IF_ERROR(server::Complete(&config));
    return config;
  }

  // Three controllers with the page's name for them.
  static Cluster::Options Three() {
    const auto config = Controller();
    EXPECT_TRUE(config.ok()) << config.status();
    Cluster::Options options{.nodes = 3, .tls = FilesOf(kController)};
    for (int node = 0; config.ok() && node < options.nodes; ++node) {
      options.flags[node] = {"--peer-name", config->peer_name};
    }
    return options;
  }

  static std::shared_ptr<grpc::Channel> ChannelOf(const std::string& name,
                                                  const std::string& address) {
    return grpc::CreateChannel(address, *rpc::ChannelCredentials(FilesOf(name), address));
  }

  static void Prepare(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() + kPatience);
    context->set_wait_for_ready(true);
  }

  static TempDir* made_;
};
TempDir* TlsPage::made_ = nullptr;

TEST_F(TlsPage, ItsConfigurationsAreValidAndHaveTheHostsOfItsCertificates) {
  const auto controller = Controller();
  ASSERT_TRUE(controller.ok()) << controller.status();
  EXPECT_TRUE(controller->tls.enabled());
  ASSERT_EQ(controller->members.size(), 3u);
  const auto agent = agent::ParseConfig(Configuration("agent.yaml"), "agent.yaml");
  ASSERT_TRUE(agent.ok()) << agent.status();
  EXPECT_FALSE(agent->tls_key_file.empty());
  ASSERT_EQ(agent->controllers.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const std::string host = HostOf(controller->members[i].address);
    EXPECT_EQ(HostOf(agent->controllers[i]), host);
    EXPECT_TRUE(rpc::ReadTls(FilesOf(host)).ok()) << host;
  }
  for (const char* name : {kAgent, kPerson}) EXPECT_TRUE(rpc::ReadTls(FilesOf(name)).ok()) << name;
}

TEST_F(TlsPage, ItsCertificatesCarryAClusterAndAgentsAndTellWhoAPersonIs) {
  Cluster cluster(Three());
  TestAgent agent({.controllers = cluster.api_addresses(), .tls = FilesOf(kAgent)});
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  const auto stub = chaos::v1::ChaosController::NewStub(ChannelOf(kPerson, cluster.api_address(0)));
  grpc::ClientContext context;
  Prepare(&context);
  chaos::v1::StartExperimentResponse response;
  const Status started = rpc::FromGrpc(
      stub->StartExperiment(&context, cluster::LatencyOn("service:checkout"), &response));
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_EQ(response.experiment().created_by(), kPerson);
}

TEST_F(TlsPage, OnlyItsControllersCertificatesAreAnsweredOnThePeerPort) {
  Cluster cluster(Three());
  const auto ask = [&](const std::string& name) {
    const std::string address = cluster.peer_address(cluster.WaitForLeader());
    const auto stub = ::server::v1::PeerService::NewStub(ChannelOf(name, address));
    grpc::ClientContext context;
    Prepare(&context);
    ::server::v1::ReadIndexResponse response;
    return rpc::FromGrpc(stub->ReadIndex(&context, {}, &response));
  };
  EXPECT_TRUE(Eventually([&] { return ask("node2.example.org").ok(); }));
  for (const auto& [name, names] : {std::pair(kAgent, kAgent), std::pair(kPerson, "no host")}) {
    const Status refused = ask(name);
    EXPECT_EQ(refused.code(), StatusCode::kPermissionDenied) << refused;
    EXPECT_THAT(ToString(refused.message()),
                HasSubstr(fmt::format("the certificate is for {}", names)));
  }
}

}  // namespace
}  // namespace faultline
