// AgentService on the wire: an agent's stream to this node's sessions and metrics.
#include <array>
#include <mutex>
#include <optional>

#include "chaos/v1/agent.grpc.pb.h"
#include "rpc/status.h"
#include "server/services.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

using chaos::v1::ConnectRequest;
using chaos::v1::ConnectResponse;

// Owns itself until gRPC has done with it.
class Stream final : public grpc::ServerBidiReactor<ConnectRequest, ConnectResponse>,
                     public AgentStream,
                     public std::enable_shared_from_this<Stream> {
 public:
  static Stream* Make(const Parts& parts, const std::string& client) {
    std::shared_ptr<Stream> stream(new Stream(parts));
    stream->self_ = stream;
    auto ticket = parts.gates->agents.Enter(client, 0);
    if (!ticket.ok()) {
      stream->Close(ticket.status());
      return stream.get();
    }
    stream->ticket_ = *std::move(ticket);
    stream->StartRead(&stream->request_);
    return stream.get();
  }

  void Send(ConnectResponse response) override {
    {
      const std::lock_guard lock(mutex_);
      waiting_[static_cast<size_t>(response.message_case()) % waiting_.size()] =
          std::move(response);
      if (busy_ || finished_) return;
      busy_ = true;
    }
    Pump();
  }

  bool Behind() override {
    const std::lock_guard lock(mutex_);
    tell_when_drained_ = waiting_[ConnectResponse::kDesired].has_value();
    return tell_when_drained_;
  }

  void Close(const Status& status) override {
    {
      const std::lock_guard lock(mutex_);
      if (!end_) end_ = status;
      if (busy_ || finished_) return;
      busy_ = true;
    }
    Pump();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close(absl::OkStatus());
    if (const Status status = Take(); !status.ok()) return Close(status);
    StartRead(&request_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) {
      const std::lock_guard lock(mutex_);
      if (!end_) end_ = MakeError(StatusCode::kCancelled, "the agent is gone");
    }
    Pump();
  }
  void OnCancel() override { Close(MakeError(StatusCode::kCancelled, "the agent is gone")); }
  void OnDone() override {
    const auto self = std::exchange(self_, nullptr);
    parts_.sessions->OnClosed(id_);
  }

 private:
  explicit Stream(const Parts& parts) : parts_(parts), id_(AgentSessions::NextId()) {}

  Status Take() {
    if (request_.has_hello() != agent_id_.empty()) {
      return FieldError("message", request_.has_hello() ? "hello" : "", "hello first, and once");
    }
    switch (request_.message_case()) {
      case ConnectRequest::kHello:
        FL_RETURN_IF_ERROR(Validate(request_.hello()));
        agent_id_ = request_.hello().agent().agent_id();
        incarnation_ = request_.hello().agent().incarnation();
        parts_.recorder->OnHello(request_.hello());
        parts_.sessions->OnHello(id_, shared_from_this(), std::move(*request_.mutable_hello()));
        break;
      case ConnectRequest::kRenewal:
        parts_.sessions->OnRenewal(id_, request_.renewal());
        break;
      case ConnectRequest::kReports:
        parts_.sessions->OnReports(id_, std::move(*request_.mutable_reports()));
        break;
      case ConnectRequest::kMetrics:
        return TakeMetrics(request_.metrics());
      case ConnectRequest::kBaselines:
        return TakeBaselines(request_.baselines());
      case ConnectRequest::MESSAGE_NOT_SET:
        break;  // from a newer agent
    }
    return absl::OkStatus();
  }

  Status TakeMetrics(const chaos::v1::MetricsBatch& batch) {
    const auto& position = batch.position();
    if (position.agent_id() != agent_id_ || position.incarnation() != incarnation_) {
      return FieldError("metrics.position.agent_id", position.agent_id(), "the agent's own");
    }
    for (const auto& sample : batch.samples()) {
      FL_RETURN_IF_ERROR(CheckOwn("metrics.samples.target_id", sample.target_id()));
    }
    if (parts_.metrics->Ingest(batch, /*relayed=*/false)) parts_.recorder->OnBatch(batch);
    return absl::OkStatus();
  }

  Status TakeBaselines(const chaos::v1::AgentBaselines& given) {
    FL_RETURN_IF_ERROR(baseline_limits_.Check(given));
    for (const auto& target : given.targets()) {
      FL_RETURN_IF_ERROR(CheckOwn("baselines.targets.target_id", target.target_id()));
    }
    parts_.recorder->OnBaselines(incarnation_, given);
    return absl::OkStatus();
  }

  Status CheckOwn(std::string_view field, const std::string& target_id) const {
    if (target_id.starts_with(agent_id_ + "/")) return absl::OkStatus();
    return FieldError(field, target_id, "the agent's own");
  }

  // With busy_ held by the caller: writes one message, or ends, or lets go of busy_.
  void Pump() {
    bool drained = false;
    {
      const std::lock_guard lock(mutex_);
      if (end_) {
        finished_ = true;
      } else if (!PickNext()) {
        busy_ = false;
        return;
      }
      drained = tell_when_drained_ && !waiting_[ConnectResponse::kDesired];
      if (drained) tell_when_drained_ = false;
    }
    if (drained) parts_.sessions->OnDrained(id_);
    if (finished_) return Finish(rpc::ToGrpc(*end_));
    StartWrite(&response_);
  }

  bool PickNext() {
    // What is desired overtakes grants: a lease never holds up what is to be reverted.
    for (const auto kind :
         {ConnectResponse::kWelcome, ConnectResponse::kDesired, ConnectResponse::kGrant}) {
      auto& slot = waiting_[kind];
      if (!slot) continue;
      response_ = *std::move(slot);
      slot.reset();
      return true;
    }
    return false;
  }

  const Parts parts_;
  const uint64_t id_;
  std::shared_ptr<Gate::Ticket> ticket_;
  // Read side only.
  ConnectRequest request_;
  std::string agent_id_;
  uint64_t incarnation_ = 0;
  BaselineLimits baseline_limits_;
  // Write side.
  std::mutex mutex_;
  std::array<std::optional<ConnectResponse>, 4> waiting_;  // newest of each kind
  ConnectResponse response_;
  bool tell_when_drained_ = false;
  bool busy_ = false;      // someone pumps, or a message is being written
  bool finished_ = false;  // Finish has been called
  std::optional<Status> end_;
  std::shared_ptr<Stream> self_;
};

class AgentService final : public chaos::v1::AgentService::CallbackService {
 public:
  explicit AgentService(const Parts& parts) : parts_(parts) {}
  grpc::ServerBidiReactor<ConnectRequest, ConnectResponse>* Connect(
      grpc::CallbackServerContext* context) override {
    return Stream::Make(parts_, context->peer());
  }

 private:
  const Parts parts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAgentService(const Parts& parts) {
  return std::make_unique<AgentService>(parts);
}

}  // namespace faultline::server
