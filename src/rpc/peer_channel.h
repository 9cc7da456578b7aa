// A channel from one controller to another, whose address may be a name that leads elsewhere
// later, or nowhere for a while.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace faultline::rpc {

// Not thread-safe.
class PeerChannel {
 public:
  // `arguments`: with SetReconnect. No HTTP proxy of the environment comes in between.
  PeerChannel(std::string address, std::shared_ptr<grpc::ChannelCredentials> credentials,
              grpc::ChannelArguments arguments);

  const std::string& address() const { return address_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // grpc::Channel's, of the present one.
  bool WaitForConnected(std::chrono::system_clock::time_point deadline);

  // To be asked before each use: when nobody could be reached through the channel, takes another
  // and says so; every two seconds at most. What uses the one before goes on with it. The other is
  // a new one, which looks the name up at once, and by turns the last that was connected, which
  // still has addresses while the name has none.
  bool Renew();

 private:
  void Make();

  const std::string address_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  grpc::ChannelArguments arguments_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<grpc::Channel> connected_;  // the last that was seen so; null: none
  uint64_t taken_ns_ = 0;                     // when channel_ became the present one
};

}  // namespace faultline::rpc
