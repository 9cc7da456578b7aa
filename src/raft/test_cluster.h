// A cluster of real nodes in one process: RocksDB in a temporary directory, gRPC over loopback,
// real time. For tests.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "raft/grpc_transport.h"
#include "raft/node.h"
#include "raft/test_dir.h"
#include "raft/test_machine.h"

namespace faultline::raft {

inline constexpr std::chrono::seconds kPatience{30};

// A loopback port that is free now, below those that the kernel gives to outgoing connections.
inline int FreePort() {
  static int next = 20'000 + getpid() % 1'000 * 10;
  for (;; ++next) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(next));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (free) return next++;
  }
}

class Cluster {
 public:
  explicit Cluster(uint64_t size) {
    for (uint64_t id = 1; id <= size; ++id) {
      options_.members.push_back({id, "127.0.0.1:" + std::to_string(FreePort())});
    }
    options_.election_timeout = std::chrono::milliseconds(150);
    options_.heartbeat = std::chrono::milliseconds(30);
    members_.resize(size + 1);
  }
  ~Cluster() {
    for (uint64_t id = 1; id < members_.size(); ++id) Stop(id);
  }

  Options& options() { return options_; }
  size_t size() const { return members_.size() - 1; }

  void StartAll() {
    for (uint64_t id = 1; id < members_.size(); ++id) Start(id);
  }

  void Start(uint64_t id) {
    auto member = std::make_unique<Running>();
    member->transport = std::make_unique<GrpcTransport>(id, grpc::InsecureChannelCredentials());
    Options options = options_;
    options.id = id;
    options.data_dir = dir(id);
    auto node = Node::Start(options, &member->machine, member->transport.get());
    ASSERT_TRUE(node.ok()) << node.status();
    member->node = std::move(*node);
    member->transport->SetReceiver(
        [node = member->node.get()](uint64_t from, std::string message) {
          node->Receive(from, std::move(message));
        },
        [node = member->node.get()](const Snapshot& wanted, uint64_t offset) {
          return node->ReadSnapshot(wanted, offset);
        });
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options_.members[id - 1].address, grpc::InsecureServerCredentials());
    member->transport->Register(builder);
    member->server = builder.BuildAndStart();
    ASSERT_NE(member->server, nullptr);
    members_[id] = std::move(member);
  }

  void Stop(uint64_t id) {
    if (members_[id] == nullptr) return;
    members_[id]->transport->SetReceiver(nullptr);
    members_[id]->server->Shutdown(std::chrono::system_clock::now());
    members_[id]->node.reset();
    members_[id].reset();
  }

  std::string dir(uint64_t id) const { return dir_.path() + "/" + std::to_string(id); }
  bool running(uint64_t id) const { return members_[id] != nullptr; }
  Node& node(uint64_t id) { return *members_[id]->node; }
  TestMachine& machine(uint64_t id) { return members_[id]->machine; }

  // Who leads; 0 when nobody does in time.
  uint64_t WaitForLeader() {
    uint64_t leader = 0;
    WaitUntil([&] {
      for (uint64_t id = 1; id < members_.size() && leader == 0; ++id) {
        if (running(id) && node(id).GetView().role == Role::kLeader &&
            node(id).QuorumAge() < std::chrono::seconds(1)) {
          leader = id;
        }
      }
      return leader != 0;
    });
    return leader;
  }

  // Proposes to whoever leads until it is committed.
  void Commit(const std::string& command) {
    const bool committed = WaitUntil([&] {
      const uint64_t leader = WaitForLeader();
      if (leader == 0) return false;
      std::promise<Status> promise;
      node(leader).Propose(command, [&](const StatusOr<Node::Committed>& result) {
        promise.set_value(result.status());
      });
      const Status status = promise.get_future().get();
      if (status.code() == StatusCode::kAborted) unknown_.insert(command);
      return status.ok();
    });
    ASSERT_TRUE(committed) << command;
  }

  // The commands that a member has applied, in order. One whose outcome was not known, as its
  // leader was lost, was proposed again and may stand there twice: here it stands once.
  std::vector<std::string> Applied(uint64_t id) {
    std::vector<std::string> applied;
    for (const std::string& command : machine(id).commands()) {
      const bool again =
          !applied.empty() && applied.back() == command && unknown_.count(command) > 0;
      if (!again) applied.push_back(command);
    }
    return applied;
  }

  // All running members have applied `count` commands or more.
  bool WaitForApplied(size_t count) {
    return WaitForAll([&](uint64_t id) { return Applied(id).size() >= count; });
  }

  // All running members have a snapshot of their own on their disks: it is written beside what
  // they do.
  bool WaitForSnapshots() {
    return WaitForAll([&](uint64_t id) { return node(id).meters().snapshot_index.value() > 0; });
  }

  // All members have on their disks what whoever leads has in its log: they may have applied it
  // before.
  bool WaitForStored() {
    return WaitUntil([&] {
      const uint64_t leader = WaitForLeader();
      if (leader == 0) return false;
      std::promise<bool> stored;
      node(leader).Inspect([&](const View&, const GroupState& group) {
        bool all = group.members.size() == size();
        for (const MemberState& state : group.members) {
          all = all && state.match_index == group.last_index;
        }
        stored.set_value(all);
      });
      return stored.get_future().get();
    });
  }

  template <typename Condition>
  static bool WaitUntil(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

 private:
  struct Running {
    TestMachine machine;
    std::unique_ptr<GrpcTransport> transport;
    std::unique_ptr<Node> node;
    std::unique_ptr<grpc::Server> server;
  };
  template <typename Condition>
  bool WaitForAll(Condition condition) {
    return WaitUntil([&] {
      for (uint64_t id = 1; id < members_.size(); ++id) {
        if (running(id) && !condition(id)) return false;
      }
      return true;
    });
  }

  TestDir dir_;
  Options options_;
  std::vector<std::unique_ptr<Running>> members_;  // by id
  std::set<std::string> unknown_;                  // commands whose outcome was not known once
};

}  // namespace faultline::raft
