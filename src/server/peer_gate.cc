#include "server/peer_gate.h"

#include <algorithm>

#include "base/log.h"
#include "base/random.h"

namespace faultline::server {
namespace {

// Of one node that are remembered.
constexpr size_t kMostStarts = 64;

Status Refusal(const std::string& reason, const std::string& sentence) {
  return MakeDetailedError(StatusCode::kFailedPrecondition, reason, sentence);
}

}  // namespace

PeerGate::PeerGate(raft::Identity own) : own_(std::move(own)), start_id_(RandomNumber()) {}

raft::Hello PeerGate::Hello() const {
  const std::lock_guard lock(mutex_);
  raft::Hello hello;
  hello.node_id = own_.node_id;
  hello.cluster_id = own_.cluster_id;
  hello.store_id = own_.store_id;
  hello.start_id = start_id_;
  return hello;
}

Status PeerGate::Check(const raft::Hello& hello) {
  if (hello.oldest_protocol > raft::kNewestProtocol ||
      hello.newest_protocol < raft::kOldestProtocol) {
    return Refusal("UNKNOWN_VERSION",
                   fmt::format("node {} speaks versions {} to {} of the protocol between "
                               "controllers, and node {} {} to {}: only neighbouring versions of "
                               "the program work together",
                               hello.node_id, hello.oldest_protocol, hello.newest_protocol,
                               own_.node_id, raft::kOldestProtocol, raft::kNewestProtocol));
  }
  if (!hello.cluster_id.empty() && !own_.cluster_id.empty() &&
      hello.cluster_id != own_.cluster_id) {
    return Refusal("OTHER_CLUSTER",
                   fmt::format("node {} comes from cluster {}, and node {} belongs to cluster {}: "
                               "its addresses or its data directory are another cluster's",
                               hello.node_id, hello.cluster_id, own_.node_id, own_.cluster_id));
  }
  if (hello.start_id == start_id_) {
    return Refusal("OWN_ADDRESS",
                   fmt::format("node {} has reached itself: the address of another member is its "
                               "own",
                               own_.node_id));
  }
  return CheckStart(hello);
}

Status PeerGate::CheckStart(const raft::Hello& hello) {
  if (hello.store_id == 0) return absl::OkStatus();  // of a version that does not tell
  Seen& seen = seen_.try_emplace(hello.node_id, Seen{hello.store_id, 0, {}}).first->second;
  if (hello.node_id == own_.node_id || seen.store_id != hello.store_id) {
    return Refusal(
        "DUPLICATE_ID",
        fmt::format("node {} comes with another data directory than before: two nodes have "
                    "this id, or it has lost its directory and with it its votes; remove "
                    "it, and add it anew under a new id",
                    hello.node_id));
  }
  if (hello.start_id == 0 || hello.start_id == seen.start_id) return absl::OkStatus();
  if (seen.earlier_starts.contains(hello.start_id)) {
    return Refusal("DUPLICATE_ID",
                   fmt::format("an earlier start of node {} comes again after a later one: two "
                               "processes run on copies of its data directory; stop both, remove "
                               "it, and add it anew under a new id",
                               hello.node_id));
  }
  if (seen.earlier_starts.size() == kMostStarts) {
    seen.earlier_starts.erase(seen.earlier_starts.begin());
  }
  if (seen.start_id != 0) seen.earlier_starts.insert(seen.start_id);
  seen.start_id = hello.start_id;
  return absl::OkStatus();
}

Status PeerGate::Admit(const raft::Hello& hello) {
  const std::lock_guard lock(mutex_);
  const Status status = Check(hello);
  if (status.ok()) return status;
  const uint64_t count = ++refused_[DetailOf(status)->reason()];
  // It will try again and again.
  if (IsWorthALine(count)) {
    FL_LOG(warn, "refused a node: {} ({} times)", ToString(status.message()), count);
  }
  return status;
}

void PeerGate::SetMembers(const std::vector<uint64_t>& ids) {
  const std::lock_guard lock(mutex_);
  std::erase_if(seen_, [&](const auto& seen) {
    return std::find(ids.begin(), ids.end(), seen.first) == ids.end();
  });
}

void PeerGate::SetCluster(const std::string& dir, const std::string& cluster_id) {
  const std::lock_guard lock(mutex_);
  if (cluster_id.empty() || cluster_id == own_.cluster_id) return;
  own_.cluster_id = cluster_id;
  if (const Status status = raft::SaveIdentity(dir, own_); !status.ok()) {
    FL_LOG(error, "{}", ToString(status.message()));
  }
}

std::map<std::string, uint64_t> PeerGate::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace faultline::server
