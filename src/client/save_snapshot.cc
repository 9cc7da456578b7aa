#include "base/clock.h"
#include "base/random.h"
#include "client/client.h"
#include "client/node.h"
#include "rpc/status.h"

namespace faultline::client {
namespace {

using std::chrono::nanoseconds;

// Of one attempt: a large state over a slow link. Nodes that are gone are noticed by their silence.
constexpr std::chrono::minutes kAttempt{30};

// What an attempt came to: the server's word, and, when it was the sink that ended it, the sink's.
struct Outcome {
  grpc::Status status;
  Status sink;
};

Outcome Attempt(const Node& node, const chaos::v1::SaveSnapshotRequest& request,
                const SnapshotSink& sink, const CallOptions& options) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kAttempt);
  Cancellation::Subscription subscription(options.cancellation, [&] { context.TryCancel(); });
  const auto reader = node.cluster_stub->SaveSnapshot(&context, request);
  chaos::v1::SaveSnapshotResponse response;
  Outcome outcome;
  while (outcome.sink.ok() && reader->Read(&response)) {
    if (response.has_freshness()) outcome.sink = sink.begin(response.freshness());
    if (outcome.sink.ok() && !response.data().empty()) outcome.sink = sink.data(response.data());
  }
  if (!outcome.sink.ok()) context.TryCancel();
  outcome.status = reader->Finish();
  return outcome;
}

}  // namespace

Status Client::SaveSnapshot(const chaos::v1::SaveSnapshotRequest& request, const SnapshotSink& sink,
                            const CallOptions& options) {
  const auto cancelled = [&] { return options.cancellation && options.cancellation->cancelled(); };
  const uint64_t deadline_ns = MonotonicNowNs() + nanoseconds(impl_->timeout).count();
  RetryPlan plan(impl_->nodes.size(), impl_->preferred.load(), deadline_ns, RandomNumber());
  grpc::Status last;
  bool reached = false;
  while (!cancelled()) {
    const size_t index = plan.node();
    const Node& node = impl_->nodes[index];
    const Outcome outcome = Attempt(node, request, sink, options);
    if (!outcome.sink.ok()) return outcome.sink;
    if (outcome.status.ok()) {
      impl_->preferred = index;
      return absl::OkStatus();
    }
    if (cancelled()) break;
    const AttemptFailure failure = Judge(node, outcome.status);
    if (failure.reached || !reached) last = outcome.status;
    reached |= failure.reached;
    const auto pause = plan.After(failure, MonotonicNowNs());
    if (!pause) {
      return FinalError(last, reached || !failure.retriable, impl_->addresses, impl_->timeout,
                        impl_->tls);
    }
    if (!PauseBefore(impl_->nodes[plan.node()], *pause, options.cancellation)) break;
  }
  return MakeError(StatusCode::kCancelled, "cancelled");
}

}  // namespace faultline::client
