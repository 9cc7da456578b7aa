#include <optional>

#include "base/clock.h"
#include "base/random.h"
#include "client/node.h"
#include "client/resume.h"
#include "rpc/status.h"

namespace faultline::client {
namespace {

using std::chrono::nanoseconds;
using Stub = chaos::v1::ChaosController::Stub;

// A node that keeps a stream open for so long is alive, even when it had nothing to say: a dead one
// is noticed sooner (node.cc), and a connection that does not come about fails sooner.
constexpr uint64_t kAliveNs = 3 * kNanosPerSecond;

// A stream that is taken up by another node when it breaks. `Resume` says where it stands.
template <typename Request, typename Message, typename Resume, typename Impl>
class ResumingStream final : public Stream<Message> {
 public:
  using Open = std::unique_ptr<grpc::ClientReader<Message>> (Stub::*)(grpc::ClientContext*,
                                                                      const Request&);

  ResumingStream(Impl* impl, Open open, Request request, StreamOptions options)
      : impl_(impl),
        open_(open),
        request_(std::move(request)),
        options_(std::move(options)),
        plan_(impl->nodes.size(), impl->preferred.load(), 0, RandomNumber()) {
    if (!options_.cancellation) options_.cancellation = std::make_shared<Cancellation>();
  }

  ~ResumingStream() override {
    if (context_) context_->TryCancel();
    Close();
  }

  StatusOr<Message> Next() override {
    while (final_.ok()) {
      if (options_.cancellation->cancelled()) {
        final_ = MakeError(StatusCode::kCancelled, "cancelled");
        break;
      }
      if (!reader_) Begin();
      Message message;
      if (reader_->Read(&message)) {
        Delivering();
        if (resume_.Accept(&message)) return message;
        continue;
      }
      Broken(Close());
    }
    return final_;
  }

 private:
  // One connection's attempt at the stream.
  void Begin() {
    resume_.FillIn(&request_);
    context_ = std::make_unique<grpc::ClientContext>();
    subscription_.emplace(options_.cancellation,
                          [context = context_.get()] { context->TryCancel(); });
    node_ = plan_.node();
    begun_ns_ = MonotonicNowNs();
    reader_ = (impl_->nodes[node_].stub.get()->*open_)(context_.get(), request_);
  }

  grpc::Status Close() {
    grpc::Status status;
    if (reader_) status = reader_->Finish();
    reader_.reset();
    subscription_.reset();
    context_.reset();
    return status;
  }

  void Delivering() {
    NodeAnswered();
    impl_->preferred = node_;
  }

  // The present walk has found a node: what fails later begins a new one.
  void NodeAnswered() {
    if (!plan_.fresh()) plan_.Succeeded();
    answered_ = true;
    reached_ = false;
  }

  // Chooses the node to go on with, or sets the final error.
  void Broken(const grpc::Status& status) {
    if (options_.cancellation->cancelled()) return;
    if (const Status why = rpc::FromGrpc(status); resume_.Recover(why)) {
      if (answered_ && options_.on_interrupted) {
        options_.on_interrupted(why, impl_->nodes[node_].address);
      }
      return;
    }
    if (status.ok()) {
      final_ = MakeError(StatusCode::kOutOfRange, "the stream has ended");
      return;
    }
    const uint64_t now_ns = MonotonicNowNs();
    if (now_ns - begun_ns_ >= kAliveNs) NodeAnswered();
    const bool first_failure = plan_.fresh();
    if (first_failure) plan_.set_deadline_ns(now_ns + nanoseconds(impl_->timeout).count());
    AttemptFailure failure = Judge(impl_->nodes[node_], status);
    // A cluster that has answered before is waited for until the timeout.
    failure.reached |= answered_;
    if (failure.reached || !reached_) last_ = status;
    reached_ |= failure.reached;
    const auto pause = plan_.After(failure, now_ns);
    if (!pause) {
      final_ = FinalError(last_, reached_ || !failure.retriable, impl_->addresses, impl_->timeout,
                          impl_->tls);
      return;
    }
    if (answered_ && first_failure && options_.on_interrupted) {
      options_.on_interrupted(rpc::FromGrpc(status), impl_->nodes[plan_.node()].address);
    }
    PauseBefore(impl_->nodes[plan_.node()], *pause, options_.cancellation);
  }

  Impl* const impl_;
  const Open open_;
  Request request_;
  StreamOptions options_;
  RetryPlan plan_;
  Resume resume_;
  size_t node_ = 0;
  uint64_t begun_ns_ = 0;
  bool answered_ = false;  // any node ever
  bool reached_ = false;   // any node in the present walk
  grpc::Status last_;
  Status final_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::optional<Cancellation::Subscription> subscription_;
  std::unique_ptr<grpc::ClientReader<Message>> reader_;
};

}  // namespace

std::unique_ptr<ExperimentStream> Client::WatchExperiments(
    chaos::v1::WatchExperimentsRequest request, StreamOptions options) {
  return std::make_unique<ResumingStream<chaos::v1::WatchExperimentsRequest,
                                         chaos::v1::WatchExperimentsResponse, WatchResume, Impl>>(
      impl_.get(), &Stub::WatchExperiments, std::move(request), std::move(options));
}

std::unique_ptr<MetricStream> Client::SubscribeToMetrics(
    chaos::v1::SubscribeToMetricsRequest request, StreamOptions options) {
  return std::make_unique<ResumingStream<chaos::v1::SubscribeToMetricsRequest,
                                         chaos::v1::MetricUpdate, MetricResume, Impl>>(
      impl_.get(), &Stub::SubscribeToMetrics, std::move(request), std::move(options));
}

}  // namespace faultline::client
