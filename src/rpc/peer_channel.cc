#include "rpc/peer_channel.h"

#include <grpcpp/create_channel.h>

#include <utility>

#include "base/clock.h"

namespace faultline::rpc {
namespace {

constexpr uint64_t kRenewAfterNs = 2 * kNanosPerSecond;

}  // namespace

PeerChannel::PeerChannel(std::string address, std::shared_ptr<grpc::ChannelCredentials> credentials,
                         grpc::ChannelArguments arguments)
    : address_(std::move(address)),
      credentials_(std::move(credentials)),
      arguments_(std::move(arguments)) {
  arguments_.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  Make();
}

bool PeerChannel::WaitForConnected(std::chrono::system_clock::time_point deadline) {
  if (!channel_->WaitForConnected(deadline)) return false;
  connected_ = channel_;
  return true;
}

bool PeerChannel::Renew() {
  // After look-ups that fail gRPC 1.51 waits for longer and longer, up to two minutes. There is no
  // argument for that, and ChannelResetConnectionBackoff leaves it as it is. A channel that is
  // still at its first look-up or connection is left alone, however long that takes.
  const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/false);
  if (state == GRPC_CHANNEL_READY) connected_ = channel_;
  const bool failed = state == GRPC_CHANNEL_TRANSIENT_FAILURE;
  if (!failed || MonotonicNowNs() < taken_ns_ + kRenewAfterNs) return false;
  if (connected_ == nullptr || channel_ == connected_) {
    Make();
  } else {
    channel_ = connected_;
    taken_ns_ = MonotonicNowNs();
  }
  return true;
}

void PeerChannel::Make() {
  taken_ns_ = MonotonicNowNs();
  channel_ = grpc::CreateCustomChannel(address_, credentials_, arguments_);
}

}  // namespace faultline::rpc
