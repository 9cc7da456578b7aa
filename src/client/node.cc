#include "client/node.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>

#include "base/random.h"
#include "client/addresses.h"
#include "rpc/credentials.h"
#include "rpc/keepalive.h"
#include "rpc/status.h"

namespace faultline::client {
namespace {

// A dead node must be noticed soon even when its host says nothing, and a connection to it be tried
// again soon.
grpc::ChannelArguments FastFailOver() {
  grpc::ChannelArguments arguments = rpc::KeptAlive();
  // In this version of gRPC also the time that one connection attempt may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(rpc::kMaxAnswerBytes);
  return arguments;
}

// What gRPC's words for an attempt that reached nobody show to be wrong with TLS (client.h); empty
// when they do not. Only for a hint: they are not the same in each version.
std::string TlsProblem(const std::string& words, bool tls) {
  const auto say = [&words](const char* part) { return words.find(part) != std::string::npos; };
  if (!tls) return say("Socket closed") ? "MISSING_HERE" : "";
  if (say("wrong version number") || say("WRONG_VERSION_NUMBER")) return "MISSING_THERE";
  const bool refused = say("certificate verify failed") || say("CERTIFICATE_VERIFY_FAILED") ||
                       say("not in peer certificate") || say("Socket closed");
  return refused ? "CERTIFICATE" : "";
}

}  // namespace

StatusOr<std::vector<Node>> MakeNodes(const Options& options) {
  FL_ASSIGN_OR_RETURN(const auto addresses, ResolveAddresses(options.addresses));
  const rpc::TlsFiles tls{options.ca_file, options.cert_file, options.key_file};
  std::vector<Node> nodes;
  for (const auto& address : addresses) {
    FL_ASSIGN_OR_RETURN(const auto credentials, rpc::ChannelCredentials(tls, address));
    Node node;
    node.address = address;
    node.channel = grpc::CreateCustomChannel(address, credentials, FastFailOver());
    node.stub = chaos::v1::ChaosController::NewStub(node.channel);
    node.cluster_stub = chaos::v1::ClusterService::NewStub(node.channel);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

AttemptFailure Judge(const Node& node, const grpc::Status& status) {
  AttemptFailure failure;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::CANCELLED:  // by the server, which is stopping
      failure.retriable = true;
      break;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      if (const auto detail = DetailOf(rpc::FromGrpc(status));
          detail && detail->has_retry_after()) {
        failure.retriable = true;
        failure.retry_after = std::chrono::seconds(detail->retry_after().seconds()) +
                              std::chrono::nanoseconds(detail->retry_after().nanos());
      }
      break;
    default:
      break;
  }
  const auto state = node.channel->GetState(false);
  failure.reached = state != GRPC_CHANNEL_TRANSIENT_FAILURE && state != GRPC_CHANNEL_CONNECTING;
  return failure;
}

Status FinalError(const grpc::Status& status, bool reached,
                  const std::vector<std::string>& addresses, std::chrono::milliseconds timeout,
                  bool tls) {
  const std::string all = fmt::format("{}", fmt::join(addresses, ", "));
  if (!reached) {
    std::map<std::string, std::string> facts = {{"addresses", all}};
    const std::string problem = TlsProblem(status.error_message(), tls);
    if (!problem.empty()) facts["tls"] = problem;
    return MakeDetailedError(StatusCode::kUnavailable, "UNREACHABLE",
                             fmt::format("no controller answers at {}{}", all,
                                         tls ? " over TLS: " + status.error_message() : ""),
                             std::move(facts));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
      status.error_details().empty()) {
    return MakeDetailedError(StatusCode::kDeadlineExceeded, "NO_ANSWER",
                             fmt::format("no answer from {} within {} s", all,
                                         static_cast<double>(timeout.count()) / 1e3),
                             {{"addresses", all}});
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) {
    return MakeDetailedError(
        StatusCode::kUnavailable, "CONNECTION_LOST",
        fmt::format("the connection to {} was lost: {}", all, status.error_message()),
        {{"addresses", all}});
  }
  return rpc::FromGrpc(status);
}

bool PauseBefore(const Node& next, std::chrono::nanoseconds pause,
                 const std::shared_ptr<Cancellation>& token) {
  const auto never = std::make_shared<Cancellation>();
  const auto& cancellation = token ? token : never;
  if (next.channel->GetState(true) == GRPC_CHANNEL_READY) return !cancellation->WaitFor(pause);
  constexpr std::chrono::nanoseconds kSlice = std::chrono::milliseconds(50);
  for (; pause.count() > 0 && !cancellation->cancelled(); pause -= kSlice) {
    const auto slice =
        std::chrono::duration_cast<std::chrono::microseconds>(std::min(pause, kSlice));
    if (next.channel->WaitForConnected(std::chrono::system_clock::now() + slice)) break;
  }
  return !cancellation->cancelled();
}

std::string NewRequestId() { return fmt::format("{:016x}{:016x}", RandomNumber(), RandomNumber()); }

}  // namespace faultline::client
