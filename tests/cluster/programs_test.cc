// The program itself: how it is configured, what it says when it cannot start, TLS.
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "rpc/credentials.h"
#include "rpc/status.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

std::string Address(int port) { return fmt::format("127.0.0.1:{}", port); }

TEST(Controller, SaysInOneSentenceThatAPortIsTaken) {
  Cluster cluster({});
  const TempDir directory;
  const auto ports = FreePorts(1);
  const Ended ended =
      RunToEnd("faultline-controller",
               {"--data-dir", directory.path(), "--api-listen", cluster.api_address(0),
                "--peer-listen", Address(ports[0]), "--log-level", "off"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_EQ(ended.text, "faultline-controller: cannot listen on " + cluster.api_address(0) +
                            ": the port is taken or the address is not this host's\n");
}

TEST(Controller, SaysInOneSentenceThatItsDataIsInUse) {
  Cluster cluster({});
  const auto ports = FreePorts(2);
  const Ended ended = RunToEnd(
      "faultline-controller", {"--data-dir", cluster.data_dir(0), "--api-listen", Address(ports[0]),
                               "--peer-listen", Address(ports[1]), "--log-level", "off"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_NE(ended.text.find(cluster.data_dir(0)), std::string::npos) << ended.text;
  EXPECT_EQ(std::count(ended.text.begin(), ended.text.end(), '\n'), 1) << ended.text;
}

TEST(Controller, SaysInOneSentenceWhatIsWrongWithItsConfiguration) {
  const TempDir directory;
  const std::string path = directory.path() + "/controller.yaml";
  std::ofstream(path) << "id: 1\nlisten: 127.0.0.1:1\n";
  const Ended unknown = RunToEnd("faultline-controller", {"--config", path});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.text.find(path + ":2: unknown key 'listen'"), std::string::npos)
      << unknown.text;
  const Ended open = RunToEnd("faultline-controller",
                              {"--data-dir", directory.path(), "--api-listen", "0.0.0.0:7400"});
  EXPECT_EQ(open.code, 2);
  EXPECT_NE(
      open.text.find("api_listen: '0.0.0.0:7400' is not allowed: without TLS only a loopback"),
      std::string::npos)
      << open.text;
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/identity")) << "nothing is made yet";
  EXPECT_EQ(RunToEnd("faultline-controller", {"--no-such-flag"}).code, 2);
}

TEST(Controller, SaysInOneSentenceWhatIsWrongWithItsFlags) {
  const Ended lease = RunToEnd("faultline-controller", {"--lease", "1e30"});
  EXPECT_EQ(lease.code, 2);
  EXPECT_EQ(lease.text.find("--lease: '1e30' is not allowed: a time from 500 ms to 60 s"), 0u)
      << lease.text;
  EXPECT_EQ(RunToEnd("faultline-controller", {"--baseline", "999ms"}).code, 2);
  const Ended other = RunToEnd("faultline-controller", {"--data-dir", "/nowhere", "check"});
  EXPECT_EQ(other.code, 2);
  EXPECT_EQ(other.text,
            "faultline-controller: --data-dir is for a node that runs: 'check' takes DIR, the data "
            "directory\n");
}

TEST(Controller, IsReadyAndReflectsItsServices) {
  Cluster cluster({});
  const auto kinds = [&] {
    grpc::ClientContext context;
    chaos::v1::ListFaultKindsResponse response;
    EXPECT_TRUE(cluster.Stub(0)->ListFaultKinds(&context, {}, &response).ok());
    return response;
  }();
  EXPECT_GE(kinds.kinds_size(), 2);
  EXPECT_FALSE(kinds.kinds(0).parameters(0).help().empty());
}

// A CA and one certificate for 127.0.0.1, made by openssl.
rpc::TlsFiles MakeCertificates(const std::string& directory, const std::string& name) {
  const std::string script = fmt::format(
      "cd {0} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
      "-subj /CN={1}-ca -keyout {1}-ca.key -out {1}-ca.pem 2>/dev/null && "
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={1} "
      "-keyout {1}.key -out {1}.csr 2>/dev/null && printf 'subjectAltName=IP:127.0.0.1' > {1}.ext "
      "&& openssl x509 -req -in {1}.csr -CA {1}-ca.pem -CAkey {1}-ca.key -CAcreateserial -days 2 "
      "-extfile {1}.ext -out {1}.pem 2>/dev/null",
      directory, name);
  EXPECT_EQ(std::system(script.c_str()), 0);
  return {directory + "/" + name + "-ca.pem", directory + "/" + name + ".pem",
          directory + "/" + name + ".key"};
}

TEST(MutualTls, CarriesEverythingAndNamesTheCaller) {
  const TempDir directory;
  const rpc::TlsFiles tls = MakeCertificates(directory.path(), "faultline-test");
  Cluster cluster({.nodes = 3, .tls = tls});
  TestAgent agent({.controllers = cluster.api_addresses(), .tls = tls});
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  const auto started = cluster.StartExperiment(cluster.Follower(), LatencyOn("service:checkout"));
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->created_by(), "faultline-test");
  EXPECT_TRUE(cluster.WaitForPhase(0, started->experiment_id(), chaos::v1::TARGET_PHASE_ACTIVE));
}

TEST(MutualTls, RefusesWhoIsOfAnotherCa) {
  const TempDir directory;
  const rpc::TlsFiles tls = MakeCertificates(directory.path(), "ours");
  rpc::TlsFiles stranger = MakeCertificates(directory.path(), "stranger");
  // It trusts us as well as itself, so that the refusal is ours.
  const std::string both = directory.path() + "/both.pem";
  EXPECT_EQ(std::system(fmt::format("cat {} {} > {}", tls.ca_file, stranger.ca_file, both).c_str()),
            0);
  stranger.ca_file = both;
  Cluster cluster({.tls = tls});
  const auto call = [&](const rpc::TlsFiles& files) {
    const auto credentials = rpc::ChannelCredentials(files, cluster.api_address(0));
    const auto stub = chaos::v1::ChaosController::NewStub(
        grpc::CreateChannel(cluster.api_address(0), *credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    chaos::v1::ListFaultKindsResponse response;
    return stub->ListFaultKinds(&context, {}, &response);
  };
  EXPECT_TRUE(Eventually([&] { return call(tls).ok(); }));
  EXPECT_FALSE(call(stranger).ok());
  EXPECT_FALSE(call({}).ok());
}

}  // namespace
}  // namespace faultline::cluster
