// The sending side of one peer, for raft/grpc_transport.cc: a queue, the stream into which whoever
// sends writes it, and a thread that sees to it that there is a stream.
#pragma once

#include <grpcpp/support/status.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "raft/grpc_transport.h"
#include "raft/v1/raft.pb.h"
#include "rpc/peer_channel.h"

namespace faultline::raft {

// Members send each other signs of life so often.
inline constexpr int kKeepaliveMs = 1'000;
// Room for the envelope around the largest message.
inline constexpr int kMaxWireBytes = static_cast<int>(GrpcTransport::kMaxMessageBytes) + (8 << 20);

rpc::PeerChannel MakePeerChannel(const std::string& address,
                                 const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// Its methods may be called from any thread.
class GrpcPeer {
 public:
  // `hello` introduces this node on each connection; may be empty.
  GrpcPeer(uint64_t own_id, Member member, std::shared_ptr<grpc::ChannelCredentials> credentials,
           std::function<Hello()> hello);
  // What is still queued is lost.
  ~GrpcPeer();

  const std::string& address() const { return member_.address; }
  // Never blocks: drops the oldest messages when too many wait.
  void Send(std::string message);
  GrpcTransport::PeerHealth health() const;

 private:
  class Stream;

  void Run();
  // Waits until there is a connection. False when stopping.
  bool Connected(rpc::PeerChannel& channel);
  // What introduces this node on a new connection.
  ::raft::v1::ExchangeRequest FirstRequest() const;
  // Has the stream write what waits, unless it is at it.
  void Write();
  // Moves waiting messages into the request; with the mutex held.
  void Take(::raft::v1::ExchangeRequest* request);
  void OnWritten(bool ok);
  void NoteSent(::raft::v1::ExchangeRequest* request);  // with the mutex held
  void OnEnded(const grpc::Status& status);
  // Waits for the end of the open stream.
  grpc::Status WaitForEnd();
  void Disconnected(const std::string& error, bool refused);

  const uint64_t own_id_;
  const Member member_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::function<Hello()> hello_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  bool stopping_ = false;
  bool refused_ = false;               // by the newest connection's other end
  Stream* stream_ = nullptr;           // open, and not found broken
  bool writing_ = false;               // a write of it is under way
  std::optional<grpc::Status> ended_;  // of the newest one
  GrpcTransport::PeerHealth health_;
  std::thread thread_;
};

}  // namespace faultline::raft
