#include "raft/grpc_peer.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <chrono>
#include <utility>

#include "base/log.h"
#include "raft/crc32c.h"
#include "raft/v1/raft.grpc.pb.h"
#include "rpc/credentials.h"

namespace faultline::raft {
namespace {

using ::raft::v1::ExchangeRequest;
using ::raft::v1::ExchangeResponse;
using ::raft::v1::RaftService;

// A dead connection is noticed within interval and timeout together, and tried again soon.
constexpr int kKeepaliveTimeoutMs = 1'000;
constexpr int kMinReconnectMs = 100;
constexpr int kMaxReconnectMs = 1'000;
constexpr std::chrono::milliseconds kRetryPause{50};
// One that refuses us is asked again after so long; an address that takes so long to be reached,
// and again so long each time, is looked up for the log.
constexpr std::chrono::milliseconds kRefusedPause{2'000};
constexpr std::chrono::seconds kUnreachableAfter{5};
constexpr std::chrono::seconds kUnreachableAgain{60};
// Of messages sent in one request, so that the queue drains quickly.
constexpr size_t kMaxRequestBytes = 4 << 20;

// Why an address cannot be reached, as far as its name tells; `resolves` says whether it is that.
std::string WhyUnreachable(const std::string& address, bool* resolves) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  *resolves = error == 0;
  if (error != 0) return fmt::format("its name does not resolve: {}", gai_strerror(error));
  freeaddrinfo(found);
  return "nobody answers there";
}

// The other end took the call, and ended it because of what we are or send.
bool IsRefusal(grpc::StatusCode code) {
  using enum grpc::StatusCode;
  return code == FAILED_PRECONDITION || code == INVALID_ARGUMENT || code == DATA_LOSS ||
         code == RESOURCE_EXHAUSTED || code == PERMISSION_DENIED;
}

}  // namespace

rpc::PeerChannel MakePeerChannel(const std::string& address,
                                 const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  rpc::SetReconnect(kMinReconnectMs, kMaxReconnectMs, &arguments);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxSendMessageSize(kMaxWireBytes);
  return rpc::PeerChannel(address, credentials, arguments);
}

// One connection's. Lives until OnEnded; from Open to Close it may be written to.
class GrpcPeer::Stream final : public grpc::ClientWriteReactor<ExchangeRequest> {
 public:
  Stream(GrpcPeer* peer, ExchangeRequest first) : peer_(peer), request_(std::move(first)) {}

  void Open(RaftService::Stub& stub) {
    stub.async()->Exchange(&context_, &response_, this);
    AddHold();
    StartCall();
  }
  // Once, with no write under way or to come.
  void Close() { RemoveHold(); }
  void Cancel() { context_.TryCancel(); }

  ExchangeRequest* request() { return &request_; }
  void Write() { StartWrite(&request_); }

  void OnWriteDone(bool ok) override { peer_->OnWritten(ok); }
  void OnDone(const grpc::Status& status) override { peer_->OnEnded(status); }

 private:
  GrpcPeer* const peer_;
  grpc::ClientContext context_;
  ExchangeRequest request_;
  ExchangeResponse response_;
};

GrpcPeer::GrpcPeer(uint64_t own_id, Member member,
                   std::shared_ptr<grpc::ChannelCredentials> credentials,
                   std::function<Hello()> hello)
    : own_id_(own_id),
      member_(std::move(member)),
      credentials_(std::move(credentials)),
      hello_(std::move(hello)) {
  health_.id = member_.id;
  health_.address = member_.address;
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(),
                     fmt::format("raft-peer-{}", member_.id).substr(0, 15).c_str());
}

GrpcPeer::~GrpcPeer() {
  Stream* idle = nullptr;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (stream_ != nullptr) stream_->Cancel();
    if (!writing_) idle = std::exchange(stream_, nullptr);  // else the write's end closes it
  }
  if (idle != nullptr) idle->Close();
  wake_.notify_all();
  thread_.join();
}

void GrpcPeer::Send(std::string message) {
  {
    const std::lock_guard lock(mutex_);
    if (message.size() > GrpcTransport::kMaxMessageBytes) {
      FL_LOG(error, "raft: a message of {} bytes for member {} is too large to send",
             message.size(), member_.id);
      ++health_.dropped;
      return;
    }
    queued_bytes_ += message.size();
    queue_.push_back(std::move(message));
    const size_t limit =
        health_.connected ? GrpcTransport::kMaxQueued : GrpcTransport::kMaxQueuedUnconnected;
    while (queue_.size() > 1 &&
           (queue_.size() > limit || queued_bytes_ > GrpcTransport::kMaxQueuedBytes)) {
      queued_bytes_ -= queue_.front().size();
      queue_.pop_front();
      ++health_.dropped;
    }
  }
  Write();
}

void GrpcPeer::Write() {
  Stream* stream = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (stream_ == nullptr || writing_ || queue_.empty()) return;
    writing_ = true;
    stream = stream_;
    Take(stream->request());
  }
  stream->Write();
}

void GrpcPeer::OnWritten(bool ok) {
  Stream* stream = nullptr;
  bool more = false, over = false;
  {
    const std::lock_guard lock(mutex_);
    stream = stream_;
    if (ok) NoteSent(stream->request());
    over = !ok || stopping_;
    more = !over && !queue_.empty();
    writing_ = more;
    if (more) Take(stream->request());
    if (over) stream_ = nullptr;
  }
  if (more) stream->Write();
  if (over) stream->Close();
}

void GrpcPeer::OnEnded(const grpc::Status& status) {
  const std::lock_guard lock(mutex_);
  ended_ = status;
  wake_.notify_all();
}

grpc::Status GrpcPeer::WaitForEnd() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return ended_.has_value(); });
  return *std::exchange(ended_, std::nullopt);
}

GrpcTransport::PeerHealth GrpcPeer::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

ExchangeRequest GrpcPeer::FirstRequest() const {
  ExchangeRequest request;
  request.set_from_id(own_id_);
  if (!hello_) return request;
  const Hello hello = hello_();
  request.set_cluster_id(hello.cluster_id);
  request.set_store_id(hello.store_id);
  request.set_start_id(hello.start_id);
  request.set_oldest_protocol(hello.oldest_protocol);
  request.set_newest_protocol(hello.newest_protocol);
  return request;
}

void GrpcPeer::Run() {
  rpc::PeerChannel channel = MakePeerChannel(member_.address, credentials_);
  while (Connected(channel)) {
    const auto stub = RaftService::NewStub(channel.channel());
    Stream stream(this, FirstRequest());
    rpc::KeepCallbackQueue(channel.channel());
    stream.Open(*stub);
    bool stopped = false;
    {
      const std::lock_guard lock(mutex_);
      stopped = stopping_;
      if (!stopped) stream_ = &stream;
    }
    if (stopped) {
      stream.Cancel();
      stream.Close();
    }
    Write();  // what came before
    const grpc::Status status = WaitForEnd();
    Disconnected(status.ok() ? "the stream was closed" : status.error_message(),
                 IsRefusal(status.error_code()));
  }
}

bool GrpcPeer::Connected(rpc::PeerChannel& channel) {
  auto tell_at = std::chrono::steady_clock::now() + kUnreachableAfter;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (stopping_) return false;
    }
    const auto deadline = std::chrono::system_clock::now() + kRetryPause;
    if (channel.WaitForConnected(deadline)) return true;
    channel.Renew();
    if (std::chrono::steady_clock::now() < tell_at) continue;
    tell_at += kUnreachableAgain;
    bool resolves = true;
    const std::string why = WhyUnreachable(member_.address, &resolves);
    FL_LOG(warn, "raft: cannot reach member {} at {}: {}", member_.id, member_.address, why);
    const std::lock_guard lock(mutex_);
    health_.error = why;
    if (!resolves) ++health_.unresolved;
  }
}

void GrpcPeer::Take(ExchangeRequest* request) {
  request->clear_messages();
  request->clear_crc32c();
  size_t size_bytes = 0;
  while (!queue_.empty() &&
         (size_bytes == 0 || size_bytes + queue_.front().size() <= kMaxRequestBytes)) {
    size_bytes += queue_.front().size();
    queued_bytes_ -= queue_.front().size();
    request->add_crc32c(Crc32c(queue_.front()));
    request->add_messages(std::move(queue_.front()));
    queue_.pop_front();
  }
}

void GrpcPeer::NoteSent(ExchangeRequest* request) {
  request->clear_cluster_id();
  request->clear_store_id();
  request->clear_start_id();
  request->clear_oldest_protocol();
  request->clear_newest_protocol();
  health_.sent += static_cast<uint64_t>(request->messages_size());
  if (health_.connected) return;
  health_.connected = true;
  // As long as it may refuse us again, nothing is said.
  if (refused_) return;
  health_.error.clear();
  FL_LOG(info, "raft: connected to member {} at {}", member_.id, member_.address);
}

void GrpcPeer::Disconnected(const std::string& error, bool refused) {
  std::unique_lock lock(mutex_);
  if (refused) {
    if (health_.error != error) {
      FL_LOG(error, "raft: member {} at {} refuses this node: {}", member_.id, member_.address,
             error);
    }
  } else if (health_.connected && !refused_) {
    FL_LOG(warn, "raft: lost member {} at {}: {}", member_.id, member_.address, error);
  }
  health_.connected = false;
  health_.error = error;
  refused_ = refused;
  wake_.wait_for(lock, refused ? kRefusedPause : kRetryPause, [this] { return stopping_; });
}

}  // namespace faultline::raft
