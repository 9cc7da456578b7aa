#include "server/join.h"

#include <future>
#include <map>
#include <thread>

#include "base/clock.h"
#include "base/log.h"

namespace faultline::server {
namespace {

constexpr uint64_t kAttemptNs = kNanosPerSecond;
constexpr std::chrono::milliseconds kPause{200};

StatusOr<v1::DescribeResponse> Ask(ClusterPeers* peers, const std::string& address,
                                   uint64_t node_id) {
  v1::DescribeRequest request;
  request.set_node_id(node_id);
  auto promise = std::make_shared<std::promise<StatusOr<v1::DescribeResponse>>>();
  auto answer = promise->get_future();
  peers->Describe(address, request, MonotonicNowNs() + kAttemptNs,
                  [promise](StatusOr<v1::DescribeResponse> response) {
                    promise->set_value(std::move(response));
                  });
  auto response = answer.get();
  if (response.ok() && response->cluster_id().empty()) {
    return MakeError(StatusCode::kUnavailable, "its cluster has had no leader yet");
  }
  return response;
}

}  // namespace

StatusOr<v1::DescribeResponse> FindCluster(ClusterPeers* peers,
                                           const std::vector<std::string>& addresses,
                                           uint64_t node_id, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::map<std::string, std::string> errors;
  for (;;) {
    for (const std::string& address : addresses) {
      auto answer = Ask(peers, address, node_id);
      if (answer.ok()) return answer;
      const std::string error = ToString(answer.status().message());
      if (errors[address] != error) FL_LOG(warn, "join: {} does not help: {}", address, error);
      errors[address] = error;
    }
    if (std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(kPause);
  }
  std::string all;
  for (const auto& [address, error] : errors) {
    all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", address, error);
  }
  return MakeError(StatusCode::kUnavailable, "no cluster to join was found: {}", all);
}

}  // namespace faultline::server
