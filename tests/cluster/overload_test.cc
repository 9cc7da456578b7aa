// More than the nodes can take, and peers that should not call.
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "rpc/credentials.h"
#include "rpc/status.h"
#include "server/v1/peer.grpc.pb.h"
#include "tests/cluster/cluster.h"

namespace faultline::cluster {
namespace {

size_t ResidentBytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  size_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * 4'096;
}

TEST(Overload, AStoppedFollowerDoesNotGrowTheLeadersMemory) {
  constexpr size_t kFlood = 192 << 20;
  constexpr size_t kMostGrowth = 128 << 20;
  Cluster cluster({.nodes = 3});
  const int leader = cluster.WaitForLeader();
  // It goes through the log with its thousand ids, and is refused there.
  chaos::v1::StopExperimentRequest request;
  for (int i = 0; i < 1'000; ++i) {
    request.add_experiment_ids(fmt::format("{:-<60}{}", "no-such-experiment", i));
  }
  const size_t size_bytes = request.ByteSizeLong();
  std::atomic<size_t> written{0}, refused{0}, failed{0};
  const auto flood = [&](size_t limit) {
    const auto stub = cluster.Stub(leader);
    while (written < limit) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + kPatience);
      chaos::v1::StopExperimentResponse response;
      const Status status = rpc::FromGrpc(stub->StopExperiment(&context, request, &response));
      if (status.code() == StatusCode::kNotFound) {
        written += size_bytes;
      } else if (status.code() == StatusCode::kResourceExhausted) {
        refused += DetailOf(status)->has_retry_after() ? 1 : 0;
      } else if (++failed > 100) {
        return;
      }
    }
  };
  const auto run = [&](size_t limit) {
    std::vector<std::thread> writers;
    for (int i = 0; i < 16; ++i) writers.emplace_back(flood, limit);
    for (auto& writer : writers) writer.join();
  };
  run(16 << 20);
  const size_t before = ResidentBytes(cluster.process(leader).pid());
  const int stopped = (leader + 1) % 3;
  cluster.process(stopped).Signal(SIGSTOP);
  written = 0;
  run(kFlood);
  const size_t after = ResidentBytes(cluster.process(leader).pid());
  cluster.process(stopped).Signal(SIGCONT);
  EXPECT_GE(written, kFlood) << failed << " calls failed";
  EXPECT_LT(after, before + kMostGrowth)
      << "from " << (before >> 20) << " to " << (after >> 20) << " MiB";
}

// A CA, and certificates that it has signed: "node" for 127.0.0.1, "agent" for another host.
void MakeCertificates(const std::string& directory) {
  std::string script = fmt::format(
      "cd {} && exec 2>/dev/null && openssl req -x509 -newkey ec -pkeyopt "
      "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
      directory);
  for (const auto& [name, san] :
       {std::pair("node", "IP:127.0.0.1"), {"agent", "DNS:host-7.example"}}) {
    script += fmt::format(
        " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={0} "
        "-keyout {0}.key -out {0}.csr && printf 'subjectAltName={1}' > {0}.ext && openssl x509 "
        "-req "
        "-in {0}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {0}.ext -out "
        "{0}.pem",
        name, san);
  }
  ASSERT_EQ(std::system(script.c_str()), 0);
}

TEST(PeerListener, AnswersOnlyTheCertificatesOfMembersHosts) {
  const TempDir directory;
  MakeCertificates(directory.path());
  const auto files = [&](const std::string& name) {
    return rpc::TlsFiles{directory.path() + "/ca.pem", directory.path() + "/" + name + ".pem",
                         directory.path() + "/" + name + ".key"};
  };
  Cluster cluster({.nodes = 3, .tls = files("node")});
  const auto ask = [&](const std::string& name) {
    const std::string address = cluster.peer_address(cluster.WaitForLeader());
    const auto stub = ::server::v1::PeerService::NewStub(
        grpc::CreateChannel(address, *rpc::ChannelCredentials(files(name), address)));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.set_wait_for_ready(true);
    ::server::v1::ReadIndexResponse response;
    return rpc::FromGrpc(stub->ReadIndex(&context, {}, &response));
  };
  EXPECT_TRUE(Eventually([&] { return ask("node").ok(); }));
  const Status refused = ask("agent");
  EXPECT_EQ(refused.code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(
      ToString(refused.message()),
      "this listener is for controllers: the certificate is for host-7.example, and theirs for "
      "127.0.0.1");
}

}  // namespace
}  // namespace faultline::cluster
