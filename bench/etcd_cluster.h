// Three etcd members, as the benchmarks' peer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "etcd/rpc.grpc.pb.h"
#include "rpc/endpoint.h"
#include "tests/cluster/process.h"

namespace faultline::bench {

class EtcdCluster {
 public:
  struct Options {
    // etcd's own defaults are 1,000 and 100.
    int election_timeout_ms = 1'000;
    int heartbeat_ms = 100;
    // For clients and between members; all empty: plain text.
    rpc::TlsFiles tls;
    // Where each of the three runs; empty: on loopback, in this process's network namespace.
    struct Place {
      std::string netns;  // below /run/netns
      std::string ip;
    };
    std::vector<Place> places = {};
  };
  // Starts the members, with fsync as etcd does it by default.
  explicit EtcdCluster(Options options);

  int size() const { return kMembers; }
  std::string address(int member) const;

  cluster::Process& process(int member) { return *members_[static_cast<size_t>(member)].process; }
  void Start(int member);

  // Asks the members until one says that it leads; -1 when none does in 30 s.
  int WaitForLeader();

  // The highest term that members tell.
  uint64_t Term() const;

  // CPU time of the members' processes, theirs since they began.
  double CpuSeconds();

  // A connection of its own to a member.
  std::shared_ptr<grpc::Channel> Connect(int member) const;

 private:
  static constexpr int kMembers = 3;
  struct Member {
    std::string ip;
    int client_port = 0;
    int peer_port = 0;
    std::unique_ptr<cluster::Process> process;
  };
  std::string Url(const Member& member, int port) const;
  bool Ask(int member, etcdserverpb::StatusResponse* response) const;

  const Options options_;
  const cluster::TempDir directory_;
  std::vector<Member> members_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;  // for Ask, by member
};

}  // namespace faultline::bench
