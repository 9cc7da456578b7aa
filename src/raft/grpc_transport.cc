#include "raft/grpc_transport.h"

#include <grpcpp/channel.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <utility>

#include "base/clock.h"
#include "base/strand.h"
#include "raft/grpc_peer.h"
#include "raft/message_check.h"
#include "raft/open_streams.h"
#include "raft/types.h"
#include "raft/v1/raft.grpc.pb.h"
#include "rpc/status.h"

namespace faultline::raft {
namespace {

using ::raft::v1::ExchangeRequest;
using ::raft::v1::ExchangeResponse;
using ::raft::v1::FetchSnapshotRequest;
using ::raft::v1::FetchSnapshotResponse;
using ::raft::v1::RaftService;

// Of one fetch; the next one goes on where it ended.
constexpr std::chrono::seconds kFetchTime{60};

// The receiving side of all peers.
class Service final : public RaftService::WithCallbackMethod_Exchange<RaftService::Service> {
 public:
  explicit Service(uint64_t own_id) : messages_(own_id) {}

  std::map<std::string, uint64_t> refused() const {
    auto refused = messages_.refused();
    if (streams_.refused() > 0) refused["DUPLICATE_ID"] += streams_.refused();
    return refused;
  }

  void SetReceiver(GrpcTransport::Receiver receiver, GrpcTransport::SnapshotReader reader) {
    const std::unique_lock lock(mutex_);
    receiver_ = std::move(receiver);
    snapshot_reader_ = std::move(reader);
  }

  grpc::Status FetchSnapshot(grpc::ServerContext*, const FetchSnapshotRequest* request,
                             grpc::ServerWriter<FetchSnapshotResponse>* writer) override {
    Snapshot wanted;
    wanted.metadata.set_last_index(request->last_index());
    wanted.sum = {request->size_bytes(), request->crc32c()};
    StatusOr<std::unique_ptr<ByteSource>> bytes =
        MakeError(StatusCode::kUnavailable, "this node is starting or ending");
    {
      const std::shared_lock lock(mutex_);
      if (snapshot_reader_) bytes = snapshot_reader_(wanted, request->offset());
    }
    if (!bytes.ok()) return rpc::ToGrpc(bytes.status());
    FetchSnapshotResponse response;
    for (;;) {
      const auto piece = (*bytes)->Next();
      if (!piece.ok()) return rpc::ToGrpc(piece.status());
      if (piece->empty()) return grpc::Status::OK;
      response.set_data(piece->data(), piece->size());
      if (!writer->Write(response)) return grpc::Status::CANCELLED;
    }
  }

  void SetAdmission(std::function<Status(const Hello&)> admit) { admit_ = std::move(admit); }

  grpc::ServerReadReactor<ExchangeRequest>* Exchange(grpc::CallbackServerContext*,
                                                     ExchangeResponse*) override {
    return new Reader(this);
  }

 private:
  // One member's stream; owned by gRPC until OnDone.
  class Reader final : public grpc::ServerReadReactor<ExchangeRequest> {
   public:
    explicit Reader(Service* service) : service_(service) { StartRead(&request_); }

    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      const Status taken = service_->Take(&request_, &stream_);
      if (!taken.ok()) return Finish(rpc::ToGrpc(taken));
      StartRead(&request_);
    }
    void OnDone() override { delete this; }

   private:
    Service* const service_;
    std::unique_ptr<OpenStreams::Stream> stream_;
    ExchangeRequest request_;
  };

  // What came on a stream, which is null before it has introduced itself. An error ends it.
  Status Take(ExchangeRequest* request, std::unique_ptr<OpenStreams::Stream>* stream) {
    if (*stream) {
      (*stream)->Heard(BoottimeNowNs());
    } else {
      const Hello hello = HelloIn(*request);
      FL_ASSIGN_OR_RETURN(auto entered, streams_.Enter(hello, BoottimeNowNs()));
      if (admit_) FL_RETURN_IF_ERROR(admit_(hello));
      *stream = std::move(entered);
    }
    // The one that was admitted.
    const uint64_t from_id = (*stream)->node_id();
    FL_RETURN_IF_ERROR(messages_.Check(from_id, *request));
    const std::shared_lock lock(mutex_);
    if (!receiver_) return absl::OkStatus();
    for (std::string& message : *request->mutable_messages()) {
      receiver_(from_id, std::move(message));
    }
    return absl::OkStatus();
  }

  std::function<Status(const Hello&)> admit_;
  OpenStreams streams_;
  MessageCheck messages_;
  std::shared_mutex mutex_;
  GrpcTransport::Receiver receiver_;
  GrpcTransport::SnapshotReader snapshot_reader_;
};

// Fetches snapshots from others, each on a connection of its own, so that nothing waits behind it.
class Fetcher {
 public:
  Status Fetch(std::shared_ptr<grpc::Channel> channel, const Snapshot& wanted, uint64_t offset,
               const ByteSink& sink) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kFetchTime);
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return MakeError(StatusCode::kCancelled, "the node is ending");
      context_ = &context;
    }
    const Status status = Read(std::move(channel), &context, wanted, offset, sink);
    const std::lock_guard lock(mutex_);
    context_ = nullptr;
    return status;
  }

  void Stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }

 private:
  static Status Read(std::shared_ptr<grpc::Channel> channel, grpc::ClientContext* context,
                     const Snapshot& wanted, uint64_t offset, const ByteSink& sink) {
    FetchSnapshotRequest request;
    request.set_last_index(wanted.metadata.last_index());
    request.set_size_bytes(wanted.sum.size_bytes);
    request.set_crc32c(wanted.sum.crc32c);
    request.set_offset(offset);
    const auto stub = RaftService::NewStub(std::move(channel));
    const auto stream = stub->FetchSnapshot(context, request);
    FetchSnapshotResponse response;
    Status taken;
    while (taken.ok() && stream->Read(&response)) taken = sink(response.data());
    if (!taken.ok()) context->TryCancel();
    const Status status = rpc::FromGrpc(stream->Finish());
    if (!taken.ok()) return taken;
    if (status.code() != StatusCode::kDeadlineExceeded) return status;
    return MakeError(StatusCode::kUnavailable, "{}", ToString(status.message()));
  }

  std::mutex mutex_;
  grpc::ClientContext* context_ = nullptr;
  bool stopped_ = false;
};

}  // namespace

struct GrpcTransport::Impl {
  explicit Impl(uint64_t id) : own_id(id), service(id) {}

  const uint64_t own_id;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::function<Hello()> hello;
  Service service;
  Fetcher fetcher;
  mutable std::mutex mutex;
  std::map<uint64_t, std::unique_ptr<GrpcPeer>> peers;
  uint64_t ended_unresolved = 0;           // of those that were peers, see PeerHealth
  std::set<uint64_t> members;              // empty: not told yet
  std::map<uint64_t, uint64_t> strangers;  // peers that are no members: when each was sent to last
  Strand ending{"raft-peer-end"};

  // Elsewhere: its end waits for gRPC's threads, which may wait for the lock, and for its own,
  // which may be looking up a name.
  void End(uint64_t id) {
    auto peer = peers.extract(id);
    if (peer.empty()) return;
    ended_unresolved += peer.mapped()->health().unresolved;
    ending.Post([ended = std::shared_ptr<GrpcPeer>(std::move(peer.mapped()))] {});
  }

  void EndStrangers(uint64_t now_ns) {
    std::erase_if(strangers, [&](const auto& stranger) {
      if (now_ns - stranger.second < kStrangerNs) return false;
      End(stranger.first);
      return true;
    });
  }
};

GrpcTransport::GrpcTransport(uint64_t own_id, std::shared_ptr<grpc::ChannelCredentials> credentials)
    : impl_(std::make_unique<Impl>(own_id)) {
  impl_->credentials = std::move(credentials);
}

GrpcTransport::~GrpcTransport() = default;

void GrpcTransport::Register(grpc::ServerBuilder& builder) {
  builder.RegisterService(&impl_->service);
  // What is too large is refused here with a sentence; gRPC itself would say nothing at this end.
  builder.SetMaxReceiveMessageSize(2 * kMaxWireBytes);
  // Others ask for signs of life more often than gRPC's default allows them to.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kKeepaliveMs / 2);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

void GrpcTransport::SetHandshake(std::function<Hello()> own,
                                 std::function<Status(const Hello&)> admit) {
  impl_->hello = std::move(own);
  impl_->service.SetAdmission(std::move(admit));
}

void GrpcTransport::SetReceiver(Receiver receiver, SnapshotReader reader) {
  impl_->service.SetReceiver(std::move(receiver), std::move(reader));
}

Status GrpcTransport::FetchSnapshot(const Member& from, const Snapshot& wanted, uint64_t offset,
                                    const ByteSink& sink) {
  return impl_->fetcher.Fetch(MakePeerChannel(from.address, impl_->credentials).channel(), wanted,
                              offset, sink);
}

void GrpcTransport::StopFetching() { impl_->fetcher.Stop(); }

void GrpcTransport::Send(const Member& to, std::string message) {
  const std::lock_guard lock(impl_->mutex);
  const uint64_t now_ns = BoottimeNowNs();
  const bool known = impl_->members.empty() || impl_->members.contains(to.id);
  if (!known) impl_->strangers[to.id] = now_ns;
  impl_->EndStrangers(now_ns);
  const auto found = impl_->peers.find(to.id);
  if (found != impl_->peers.end() && found->second->address() != to.address) impl_->End(to.id);
  std::unique_ptr<GrpcPeer>& peer = impl_->peers[to.id];
  if (peer == nullptr) {
    peer = std::make_unique<GrpcPeer>(impl_->own_id, to, impl_->credentials, impl_->hello);
  }
  peer->Send(std::move(message));
}

void GrpcTransport::SetMembers(const std::vector<Member>& members) {
  const std::lock_guard lock(impl_->mutex);
  impl_->strangers.clear();
  impl_->members.clear();
  for (const Member& member : members) impl_->members.insert(member.id);
  for (auto peer = impl_->peers.begin(); peer != impl_->peers.end();) {
    const uint64_t id = (peer++)->first;
    if (!impl_->members.contains(id)) impl_->End(id);
  }
}

void GrpcTransport::EndStrangers(uint64_t now_ns) {
  const std::lock_guard lock(impl_->mutex);
  impl_->EndStrangers(now_ns);
}

std::map<std::string, uint64_t> GrpcTransport::refused() const {
  auto refused = impl_->service.refused();
  const std::lock_guard lock(impl_->mutex);
  uint64_t unresolved = impl_->ended_unresolved;
  for (const auto& [id, peer] : impl_->peers) unresolved += peer->health().unresolved;
  if (unresolved > 0) refused["ADDRESS_NOT_RESOLVED"] = unresolved;
  return refused;
}

std::vector<GrpcTransport::PeerHealth> GrpcTransport::Health() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<PeerHealth> all;
  for (const auto& [id, peer] : impl_->peers) all.push_back(peer->health());
  return all;
}

}  // namespace faultline::raft
