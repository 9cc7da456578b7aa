#include "client/client.h"

#include <algorithm>

#include "base/clock.h"
#include "base/random.h"
#include "client/node.h"

namespace faultline::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Stub = chaos::v1::ChaosController::Stub;

// A node that is reached and says nothing for this long is left for the next one.
constexpr milliseconds kAttemptTimeout{3000};

using ClusterStub = chaos::v1::ClusterService::Stub;

// How long a promotion may take.
constexpr milliseconds kCatchUp{60'000};

template <typename Service, typename Request, typename Response>
using Method = grpc::Status (Service::*)(grpc::ClientContext*, const Request&, Response*);

Stub* StubOf(const Node& node, const Stub*) { return node.stub.get(); }
ClusterStub* StubOf(const Node& node, const ClusterStub*) { return node.cluster_stub.get(); }

struct Timeouts {
  milliseconds attempt;
  milliseconds whole;
};

milliseconds InMillis(const google::protobuf::Duration& duration) {
  return milliseconds(duration.seconds() * 1000 + duration.nanos() / 1'000'000);
}

template <typename Service, typename Request, typename Response>
grpc::Status Attempt(const Node& node, Method<Service, Request, Response> method,
                     const Request& request, nanoseconds timeout, const CallOptions& options,
                     Response* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::microseconds>(timeout));
  Cancellation::Subscription subscription(options.cancellation, [&] { context.TryCancel(); });
  return (StubOf(node, static_cast<Service*>(nullptr))->*method)(&context, request, response);
}

// Whether the failed attempt is the better one to explain the call by. What a node answered ("no
// leader now") says more than a connection that broke or an answer that did not come in time.
bool TellsMore(const grpc::Status& status, const AttemptFailure& failure, const grpc::Status& last,
               bool reached) {
  if (!failure.retriable || !reached) return true;
  return failure.reached && (!status.error_details().empty() || last.error_details().empty());
}

bool Cancelled(const CallOptions& options) {
  return options.cancellation && options.cancellation->cancelled();
}

}  // namespace

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

StatusOr<std::unique_ptr<Client>> Client::Create(const Options& options) {
  auto impl = std::make_unique<Impl>();
  FL_ASSIGN_OR_RETURN(impl->nodes, MakeNodes(options));
  for (const auto& node : impl->nodes) impl->addresses.push_back(node.address);
  impl->timeout = options.timeout;
  impl->tls = !options.ca_file.empty();
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

const std::vector<std::string>& Client::addresses() const { return impl_->addresses; }

namespace {

template <typename Service, typename Request, typename Response, typename Impl>
StatusOr<Response> Call(Impl* impl, Method<Service, Request, Response> method,
                        const Request& request, const CallOptions& options, Timeouts timeouts) {
  const uint64_t deadline_ns = MonotonicNowNs() + nanoseconds(timeouts.whole).count();
  RetryPlan plan(impl->nodes.size(), impl->preferred.load(), deadline_ns, RandomNumber());
  grpc::Status last;
  bool reached = false;
  while (!Cancelled(options)) {
    const size_t index = plan.node();
    const Node& node = impl->nodes[index];
    const uint64_t now_ns = MonotonicNowNs();
    const nanoseconds left(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
    Response response;
    const grpc::Status status = Attempt(
        node, method, request, std::min<nanoseconds>(left, timeouts.attempt), options, &response);
    if (status.ok()) {
      impl->preferred = index;
      return response;
    }
    if (Cancelled(options)) break;
    const AttemptFailure failure = Judge(node, status);
    if (TellsMore(status, failure, last, reached)) last = status;
    reached |= failure.reached;
    const auto pause = plan.After(failure, MonotonicNowNs());
    if (!pause)
      return FinalError(last, reached || !failure.retriable, impl->addresses, timeouts.whole,
                        impl->tls);
    if (!PauseBefore(impl->nodes[plan.node()], *pause, options.cancellation)) break;
  }
  return MakeError(StatusCode::kCancelled, "cancelled");
}

}  // namespace

StatusOr<chaos::v1::StartExperimentResponse> Client::StartExperiment(
    chaos::v1::StartExperimentRequest request, const CallOptions& options) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return Call(impl_.get(), &Stub::StartExperiment, request, options,
              {kAttemptTimeout, impl_->timeout});
}

StatusOr<chaos::v1::StopExperimentResponse> Client::StopExperiment(
    const chaos::v1::StopExperimentRequest& request, const CallOptions& options) {
  const milliseconds wait = InMillis(request.wait());
  return Call(impl_.get(), &Stub::StopExperiment, request, options,
              {kAttemptTimeout + wait, impl_->timeout + wait});
}

StatusOr<chaos::v1::GetExperimentResponse> Client::GetExperiment(
    const chaos::v1::GetExperimentRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &Stub::GetExperiment, request, options,
              {kAttemptTimeout, impl_->timeout});
}

StatusOr<chaos::v1::GetReportResponse> Client::GetReport(const chaos::v1::GetReportRequest& request,
                                                         const CallOptions& options) {
  return Call(impl_.get(), &Stub::GetReport, request, options, {kAttemptTimeout, impl_->timeout});
}

StatusOr<chaos::v1::ListExperimentsResponse> Client::ListExperiments(
    const chaos::v1::ListExperimentsRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &Stub::ListExperiments, request, options,
              {kAttemptTimeout, impl_->timeout});
}

StatusOr<chaos::v1::ListFaultKindsResponse> Client::ListFaultKinds(
    const chaos::v1::ListFaultKindsRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &Stub::ListFaultKinds, request, options,
              {kAttemptTimeout, impl_->timeout});
}

StatusOr<chaos::v1::ListAgentsResponse> Client::ListAgents(
    const chaos::v1::ListAgentsRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &Stub::ListAgents, request, options, {kAttemptTimeout, impl_->timeout});
}

StatusOr<chaos::v1::GetClusterResponse> Client::GetCluster(
    const chaos::v1::GetClusterRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &ClusterStub::GetCluster, request, options,
              {kAttemptTimeout, impl_->timeout});
}

StatusOr<chaos::v1::AddMemberResponse> Client::AddMember(const chaos::v1::AddMemberRequest& request,
                                                         const CallOptions& options) {
  return Call(impl_.get(), &ClusterStub::AddMember, request, options,
              {impl_->timeout, impl_->timeout});
}

StatusOr<chaos::v1::PromoteMemberResponse> Client::PromoteMember(
    const chaos::v1::PromoteMemberRequest& request, const CallOptions& options) {
  const milliseconds timeout = impl_->timeout + kCatchUp;
  return Call(impl_.get(), &ClusterStub::PromoteMember, request, options, {timeout, timeout});
}

StatusOr<chaos::v1::RemoveMemberResponse> Client::RemoveMember(
    const chaos::v1::RemoveMemberRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &ClusterStub::RemoveMember, request, options,
              {impl_->timeout, impl_->timeout});
}

StatusOr<chaos::v1::SetMemberAddressResponse> Client::SetMemberAddress(
    const chaos::v1::SetMemberAddressRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &ClusterStub::SetMemberAddress, request, options,
              {impl_->timeout, impl_->timeout});
}

StatusOr<chaos::v1::TransferLeadershipResponse> Client::TransferLeadership(
    const chaos::v1::TransferLeadershipRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &ClusterStub::TransferLeadership, request, options,
              {impl_->timeout, impl_->timeout});
}

StatusOr<chaos::v1::ListTargetsResponse> Client::ListTargets(
    const chaos::v1::ListTargetsRequest& request, const CallOptions& options) {
  return Call(impl_.get(), &Stub::ListTargets, request, options, {kAttemptTimeout, impl_->timeout});
}

}  // namespace faultline::client
