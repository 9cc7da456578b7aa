#include "etcd_cluster.h"

#include <grpcpp/create_channel.h>
#include <unistd.h>

#include "base/clock.h"
#include "load.h"
#include "tests/ports/free_ports.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kPatienceNs = 30 * kNanosPerSecond;

}  // namespace

EtcdCluster::EtcdCluster(Options options) : options_(std::move(options)) {
  const std::vector<int> ports = FreePorts(2 * kMembers);
  for (size_t i = 0; i < kMembers; ++i) {
    const std::string ip = options_.places.empty() ? "127.0.0.1" : options_.places[i].ip;
    members_.push_back({ip, ports[2 * i], ports[2 * i + 1], nullptr});
  }
  for (int i = 0; i < kMembers; ++i) {
    Start(i);
    channels_.push_back(Connect(i));
  }
}

std::string EtcdCluster::Url(const Member& member, int port) const {
  return fmt::format("{}://{}:{}", options_.tls.enabled() ? "https" : "http", member.ip, port);
}

std::string EtcdCluster::address(int member) const {
  const Member& one = members_[static_cast<size_t>(member)];
  return fmt::format("{}:{}", one.ip, one.client_port);
}

void EtcdCluster::Start(int member) {
  std::string all;
  for (size_t i = 0; i < kMembers; ++i) {
    all += fmt::format("{}m{}={}", i == 0 ? "" : ",", i, Url(members_[i], members_[i].peer_port));
  }
  Member& self = members_[static_cast<size_t>(member)];
  const std::string client = Url(self, self.client_port), peer = Url(self, self.peer_port);
  const std::string folder = fmt::format("{}/m{}", directory_.path(), member);
  std::vector<std::string> command = {"/usr/bin/etcd",
                                      "--name",
                                      fmt::format("m{}", member),
                                      "--data-dir",
                                      folder,
                                      "--listen-client-urls",
                                      client,
                                      "--advertise-client-urls",
                                      client,
                                      "--listen-peer-urls",
                                      peer,
                                      "--initial-advertise-peer-urls",
                                      peer,
                                      "--initial-cluster",
                                      all,
                                      "--initial-cluster-state",
                                      "new",
                                      "--election-timeout",
                                      fmt::format("{}", options_.election_timeout_ms),
                                      "--heartbeat-interval",
                                      fmt::format("{}", options_.heartbeat_ms),
                                      "--log-level",
                                      "error"};
  if (options_.tls.enabled()) {
    for (const std::string prefix : {"", "peer-"}) {
      command.insert(command.end(), {"--" + prefix + "trusted-ca-file", options_.tls.ca_file,
                                     "--" + prefix + "cert-file", options_.tls.cert_file,
                                     "--" + prefix + "key-file", options_.tls.key_file,
                                     "--" + prefix + "client-cert-auth"});
    }
  }
  if (!options_.places.empty()) {
    const std::string& netns = options_.places[static_cast<size_t>(member)].netns;
    command.insert(command.begin(), {"/usr/bin/nsenter", "--net=/run/netns/" + netns});
  }
  self.process = std::make_unique<cluster::Process>(command, folder + ".log");
}

double EtcdCluster::CpuSeconds() {
  double seconds = 0;
  for (const Member& member : members_) seconds += CpuSecondsOf(member.process->pid());
  return seconds;
}

std::shared_ptr<grpc::Channel> EtcdCluster::Connect(int member) const {
  return bench::Connect(address(member), options_.tls);
}

bool EtcdCluster::Ask(int member, etcdserverpb::StatusResponse* response) const {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  const auto stub = etcdserverpb::Maintenance::NewStub(channels_[static_cast<size_t>(member)]);
  return stub->Status(&context, {}, response).ok();
}

uint64_t EtcdCluster::Term() const {
  uint64_t term = 0;
  for (int i = 0; i < kMembers; ++i) {
    etcdserverpb::StatusResponse response;
    if (Ask(i, &response)) term = std::max(term, response.raft_term());
  }
  return term;
}

int EtcdCluster::WaitForLeader() {
  const uint64_t end_ns = MonotonicNowNs() + kPatienceNs;
  while (MonotonicNowNs() < end_ns) {
    for (int i = 0; i < kMembers; ++i) {
      etcdserverpb::StatusResponse response;
      if (process(i).running() && Ask(i, &response) && response.leader() != 0 &&
          response.leader() == response.header().member_id()) {
        return i;
      }
    }
    usleep(20'000);
  }
  return -1;
}

}  // namespace faultline::bench
