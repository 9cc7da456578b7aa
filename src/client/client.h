// The client library: ChaosController on a cluster of nodes, as one object.
//
// Addresses and fail-over. Every call goes to the node that answered last; when that one is gone,
// has no leader or does not answer in time, the next one is tried at once, and so on around until
// the call's timeout. All calls are safe to repeat: StartExperiment always carries a request_id
// (made here when the caller gives none), stopping twice is stopping, the rest are reads.
//
// Streams go on across nodes: when one breaks, another node is asked to continue from where the
// consumer stands, and what was delivered already is left out. The consumer sees neither a hole nor
// a repeat, as long as a node still has what came in between. A watch of experiments that was away
// for too long lists again: on_interrupted says COMPACTED, and of what has changed meanwhile comes
// the present state.
//
// A node that is overloaded says when to come back (ErrorDetail.retry_after), and is not asked
// again before, within the call's timeout.
//
// Errors are absl::Status with the server's ErrorDetail (DetailOf). Two reasons come from here:
// UNREACHABLE (UNAVAILABLE: no address takes a connection, or no TLS handshake succeeds) and
// NO_ANSWER (DEADLINE_EXCEEDED: one was reached, and did not answer in time). CANCELLED is the
// caller's own token. The metadata of UNREACHABLE says in `tls`, where that can be told, what may
// be wrong: MISSING_HERE (what listens there ends connections without TLS), MISSING_THERE (it has
// no TLS) or CERTIFICATE (one end does not take the other's).
//
// Threads: a Client may be used by any number of threads at once; calls block the calling thread. A
// stream belongs to one thread at a time, and only its cancellation token may be used from others.
// Streams must not outlive their Client.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "chaos/v1/chaos.pb.h"
#include "chaos/v1/cluster.pb.h"
#include "client/cancellation.h"

namespace faultline::client {

struct Options {
  // As ParseAddresses takes them; empty: FAULTLINE_ADDRESS, else 127.0.0.1:7400.
  std::string addresses;
  // PEM files for mutual TLS: all three or none (then only loopback may be reached).
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  // Of a call with all its attempts. How long a stream looks for a node that goes on with it.
  std::chrono::milliseconds timeout{10'000};
};

struct CallOptions {
  // Ends the call or stream early; may be null.
  std::shared_ptr<Cancellation> cancellation;
};

// Takes a snapshot's bytes; an error of either ends the saving.
struct SnapshotSink {
  // An attempt begins, or begins anew: what was given before does not count.
  std::function<Status(const chaos::v1::Freshness&)> begin;
  std::function<Status(std::string_view)> data;
};

struct StreamOptions {
  std::shared_ptr<Cancellation> cancellation;
  // Called, by the thread inside Next, when the stream broke and is taken up by another node (or
  // the same one) from where it stands. May be empty.
  std::function<void(const Status& why, const std::string& next_address)> on_interrupted;
};

template <typename Message>
class Stream {
 public:
  virtual ~Stream() = default;
  // Waits for the next message. OUT_OF_RANGE when the server has ended the stream because nothing
  // can follow. After any error every further call returns an error too.
  virtual StatusOr<Message> Next() = 0;
};
using ExperimentStream = Stream<chaos::v1::WatchExperimentsResponse>;
using MetricStream = Stream<chaos::v1::MetricUpdate>;

class Client {
 public:
  // No connection is made before the first call. INVALID_ARGUMENT for an address that is none, TLS
  // files that cannot be read, or an address beyond loopback without TLS.
  static StatusOr<std::unique_ptr<Client>> Create(const Options& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  StatusOr<chaos::v1::StartExperimentResponse> StartExperiment(
      chaos::v1::StartExperimentRequest request, const CallOptions& options = {});
  // The request's `wait` is added to the timeout.
  StatusOr<chaos::v1::StopExperimentResponse> StopExperiment(
      const chaos::v1::StopExperimentRequest& request, const CallOptions& options = {});
  StatusOr<chaos::v1::GetExperimentResponse> GetExperiment(
      const chaos::v1::GetExperimentRequest& request, const CallOptions& options = {});
  // FAILED_PRECONDITION with reason NOT_ENDED or NO_REPORT: not yet.
  StatusOr<chaos::v1::GetReportResponse> GetReport(const chaos::v1::GetReportRequest& request,
                                                   const CallOptions& options = {});
  StatusOr<chaos::v1::ListExperimentsResponse> ListExperiments(
      const chaos::v1::ListExperimentsRequest& request, const CallOptions& options = {});
  StatusOr<chaos::v1::ListFaultKindsResponse> ListFaultKinds(
      const chaos::v1::ListFaultKindsRequest& request, const CallOptions& options = {});
  StatusOr<chaos::v1::ListAgentsResponse> ListAgents(const chaos::v1::ListAgentsRequest& request,
                                                     const CallOptions& options = {});
  StatusOr<chaos::v1::ListTargetsResponse> ListTargets(const chaos::v1::ListTargetsRequest& request,
                                                       const CallOptions& options = {});

  // Who belongs to the control plane. GetCluster is answered without a quorum too; the others are
  // done by the leader. A change that was asked for twice, as an answer was lost, says that it has
  // been made already (MEMBER_EXISTS, with the member's `address`, and so on).
  StatusOr<chaos::v1::GetClusterResponse> GetCluster(const chaos::v1::GetClusterRequest& request,
                                                     const CallOptions& options = {});
  StatusOr<chaos::v1::AddMemberResponse> AddMember(const chaos::v1::AddMemberRequest& request,
                                                   const CallOptions& options = {});
  // May take a minute longer than the timeout: as long as the member makes progress.
  StatusOr<chaos::v1::PromoteMemberResponse> PromoteMember(
      const chaos::v1::PromoteMemberRequest& request, const CallOptions& options = {});
  StatusOr<chaos::v1::RemoveMemberResponse> RemoveMember(
      const chaos::v1::RemoveMemberRequest& request, const CallOptions& options = {});
  StatusOr<chaos::v1::SetMemberAddressResponse> SetMemberAddress(
      const chaos::v1::SetMemberAddressRequest& request, const CallOptions& options = {});
  StatusOr<chaos::v1::TransferLeadershipResponse> TransferLeadership(
      const chaos::v1::TransferLeadershipRequest& request, const CallOptions& options = {});

  // Gives the state as the bytes of a saved snapshot. An attempt that breaks is begun anew, at the
  // next node. The timeout is for finding a node, not for the bytes. Errors of the sink are
  // returned as they are.
  Status SaveSnapshot(const chaos::v1::SaveSnapshotRequest& request, const SnapshotSink& sink,
                      const CallOptions& options = {});

  // Messages hold only experiments whose change was not delivered before.
  std::unique_ptr<ExperimentStream> WatchExperiments(chaos::v1::WatchExperimentsRequest request,
                                                     StreamOptions options = {});
  // The last update of each experiment that is named tells its end, once.
  std::unique_ptr<MetricStream> SubscribeToMetrics(chaos::v1::SubscribeToMetricsRequest request,
                                                   StreamOptions options = {});

  const std::vector<std::string>& addresses() const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// 128 random bits as hex: a fresh request_id.
std::string NewRequestId();

}  // namespace faultline::client
