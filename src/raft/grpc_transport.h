// Transport between members over gRPC: to each member one stream of messages, in order as long as
// the connection lasts; a lost connection is made again by itself. Messages that find no room are
// lost, which Raft allows.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/node.h"

namespace grpc {
class ChannelCredentials;
class ServerBuilder;
}  // namespace grpc

namespace faultline::raft {

// Versions of what members say to each other that this program speaks. Raised when a member of the
// version before would take a message wrongly.
inline constexpr uint32_t kOldestProtocol = 1;
inline constexpr uint32_t kNewestProtocol = 1;

// How a node introduces itself to another.
struct Hello {
  uint64_t node_id = 0;
  std::string cluster_id;  // empty: not known yet
  uint64_t store_id = 0;   // of its data directory; 0: does not tell
  uint64_t start_id = 0;   // of its process; 0: does not tell
  uint32_t oldest_protocol = kOldestProtocol;
  uint32_t newest_protocol = kNewestProtocol;
};

class GrpcTransport final : public Transport {
 public:
  // A peer's messages that wait to be sent: so many and so many bytes (or one message); the oldest
  // are dropped. Without a connection fewer wait: they would be stale.
  static constexpr size_t kMaxQueued = 4'096;
  static constexpr size_t kMaxQueuedBytes = 16 << 20;
  static constexpr size_t kMaxQueuedUnconnected = 8;
  // Largest message: entries of 1 MiB, or one larger entry.
  static constexpr size_t kMaxMessageBytes = 64 << 20;

  // Who is no member has a connection until it has been sent nothing for so long.
  static constexpr uint64_t kStrangerNs = 10'000'000'000;

  struct PeerHealth {
    uint64_t id = 0;
    std::string address;
    bool connected = false;
    uint64_t sent = 0;        // messages
    uint64_t dropped = 0;     // messages
    std::string error;        // of the newest failed connection
    uint64_t unresolved = 0;  // times that its name was looked up in vain
  };
  using Receiver = std::function<void(uint64_t from_id, std::string message)>;
  // raft::Node::ReadSnapshot.
  using SnapshotReader =
      std::function<StatusOr<std::unique_ptr<ByteSource>>(const Snapshot& wanted, uint64_t offset)>;

  // `credentials` are used for every member (rpc/credentials.h makes them).
  GrpcTransport(uint64_t own_id, std::shared_ptr<grpc::ChannelCredentials> credentials);
  // The server given to Register must have been shut down.
  ~GrpcTransport() override;

  // How to introduce this node, and whom to take: an error, and its sentence, ends the connection
  // of the other end. Both run on gRPC's threads and the transport's. Before Register and Send.
  void SetHandshake(std::function<Hello()> own, std::function<Status(const Hello&)> admit);

  // Adds the service that receives from others, and the listener's limits and keep-alive that the
  // connections need, to the builder of the peer listener. Shut the server down with a deadline:
  // streams from other members do not end by themselves.
  void Register(grpc::ServerBuilder& builder);

  // Who gets what arrives, and who gives the snapshots that others fetch; before, and with nullptr
  // after, messages are dropped and fetches refused. Returns only when those before are not running
  // any more. Both run on gRPC's threads.
  void SetReceiver(Receiver receiver, SnapshotReader reader = nullptr);

  // Never blocks. From any thread.
  void Send(const Member& to, std::string message) override;
  // Connections to others are closed; Send makes a new one, as to a node that asks for votes and is
  // to be told that it is no member.
  void SetMembers(const std::vector<Member>& members) override;
  // Closes those that are due, as each Send does. `now_ns`: of BoottimeNowNs.
  void EndStrangers(uint64_t now_ns);

  Status FetchSnapshot(const Member& from, const Snapshot& wanted, uint64_t offset,
                       const ByteSink& sink) override;
  void StopFetching() override;

  std::vector<PeerHealth> Health() const;
  // Others' streams that were refused here, by reason (raft/message_check.h, raft/open_streams.h),
  // and ADDRESS_NOT_RESOLVED: how often members' names were looked up in vain.
  std::map<std::string, uint64_t> refused() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::raft
