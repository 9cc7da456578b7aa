#include "server/peer_gate.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/durable_file.h"
#include "base/log.h"
#include "base/random.h"
#include "raft/crc32c.h"

namespace faultline::server {
namespace {

// Of one node that are remembered.
constexpr size_t kMostStarts = 64;

constexpr std::string_view kSum = "crc32c ";

using Stores = std::map<uint64_t, uint64_t>;  // store_id by node

Status Refusal(const std::string& reason, const std::string& sentence) {
  return MakeDetailedError(StatusCode::kFailedPrecondition, reason, sentence);
}

std::string PathIn(const std::string& dir) { return dir + "/peers"; }

std::string TextOf(const Stores& stores) {
  std::string text = "faultline-peers 1\n";
  for (const auto& [id, store_id] : stores) text += fmt::format("{} {:016x}\n", id, store_id);
  return text + fmt::format("{}{:08x}\n", kSum, raft::Crc32c(text));
}

// Empty when there is no file; DATA_LOSS when it is damaged.
StatusOr<Stores> ReadStores(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return Stores();
  std::stringstream content;
  content << file.rdbuf();
  const std::string text = content.str();
  std::istringstream lines(text.substr(0, text.rfind(kSum)));
  lines.ignore(static_cast<std::streamsize>(text.size()), '\n');
  Stores stores;
  uint64_t id = 0, store_id = 0;
  while (lines >> std::dec >> id >> std::hex >> store_id) stores[id] = store_id;
  if (TextOf(stores) == text) return stores;
  return MakeError(StatusCode::kDataLoss,
                   "{} is damaged: other members' directories are learned anew", path);
}

}  // namespace

PeerGate::PeerGate(std::string dir, raft::Identity own)
    : dir_(std::move(dir)),
      start_id_(RandomNumber()),
      own_(std::move(own)),
      saved_cluster_id_(own_.cluster_id) {
  const auto stores = ReadStores(PathIn(dir_));
  if (!stores.ok()) {
    FL_LOG(error, "{}", ToString(stores.status().message()));
    return;
  }
  saved_ = *stores;
  for (const auto& [id, store_id] : saved_) seen_[id].store_id = store_id;
}

PeerGate::~PeerGate() {
  writer_.Stop();
  Save();
}

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
  const auto other_directory = [&](const std::string& way_out) {
    return Refusal(
        "DUPLICATE_ID",
        fmt::format("node {} comes with another data directory than before: two nodes have "
                    "this id, or it has lost its directory and with it its votes; remove "
                    "it, and add it anew under a new id{}",
                    hello.node_id, way_out));
  };
  if (hello.node_id == own_.node_id) return other_directory("");
  // Of one that is no member nothing is kept: under its id another one may be added.
  if (!members_.empty() && !members_.contains(hello.node_id)) return absl::OkStatus();
  Seen& seen = seen_.try_emplace(hello.node_id, Seen{hello.store_id, 0, {}}).first->second;
  if (seen.store_id != hello.store_id) {
    return other_directory(fmt::format(
        ". If it was rightly given another directory: stop node {}, which refuses it, and remove "
        "the file 'peers' from that node's data directory",
        own_.node_id));
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
  bool saved = true;
  {
    const std::lock_guard lock(mutex_);
    Status status = Check(hello);
    if (!status.ok()) {
      const uint64_t count = ++refused_[DetailOf(status)->reason()];
      // It will try again and again.
      if (IsWorthALine(count)) {
        FL_LOG(warn, "refused a node: {} ({} times)", ToString(status.message()), count);
      }
      return status;
    }
    saved = IsSaved(hello.node_id);
  }
  if (!saved) Save();
  return absl::OkStatus();
}

bool PeerGate::IsSaved(uint64_t id) const {
  const auto seen = seen_.find(id);
  if (seen == seen_.end() || !members_.contains(id)) return true;
  const auto saved = saved_.find(id);
  return saved != saved_.end() && saved->second == seen->second.store_id;
}

void PeerGate::Learn(const raft::Hello& hello) {
  const std::lock_guard lock(mutex_);
  // One that lost its directory belongs to no cluster yet.
  if (hello.store_id == 0 || hello.cluster_id.empty() || hello.cluster_id != own_.cluster_id)
    return;
  if (hello.node_id == own_.node_id || !members_.contains(hello.node_id)) return;
  if (seen_.try_emplace(hello.node_id, Seen{hello.store_id, 0, {}}).second) SaveSoon();
}

bool PeerGate::KnowsAll() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(members_.begin(), members_.end(),
                     [this](uint64_t id) { return id == own_.node_id || seen_.contains(id); });
}

void PeerGate::SetMembers(const std::vector<uint64_t>& ids) {
  const std::lock_guard lock(mutex_);
  members_ = {ids.begin(), ids.end()};
  std::erase_if(seen_, [this](const auto& seen) { return !members_.contains(seen.first); });
  SaveSoon();
}

void PeerGate::SetCluster(const std::string& cluster_id) {
  const std::lock_guard lock(mutex_);
  if (cluster_id.empty() || cluster_id == own_.cluster_id) return;
  own_.cluster_id = cluster_id;
  SaveSoon();
}

void PeerGate::SaveSoon() {
  writer_.Post([this] { Save(); });
}

void PeerGate::Save() {
  const std::lock_guard saving(save_mutex_);
  SaveIdentity();
  SavePeers();
}

void PeerGate::SaveIdentity() {
  raft::Identity own;
  {
    const std::lock_guard lock(mutex_);
    if (own_.cluster_id == saved_cluster_id_) return;
    own = own_;
  }
  const Status status = raft::SaveIdentity(dir_, own);
  if (!status.ok()) {
    if (IsWorthALine(++failed_saves_)) {
      FL_LOG(error, "{} ({} times)", ToString(status.message()), failed_saves_);
    }
    return;
  }
  const std::lock_guard lock(mutex_);
  saved_cluster_id_ = own.cluster_id;
}

void PeerGate::SavePeers() {
  Stores stores;
  {
    const std::lock_guard lock(mutex_);
    if (members_.empty()) return;
    for (const auto& [id, seen] : seen_) {
      if (members_.contains(id)) stores[id] = seen.store_id;
    }
    if (stores == saved_) return;
  }
  const Status status = ReplaceFile(PathIn(dir_), TextOf(stores));
  if (!status.ok()) {
    if (IsWorthALine(++failed_saves_)) {
      FL_LOG(error, "other members' directories are not kept: {} ({} times)",
             ToString(status.message()), failed_saves_);
    }
    return;
  }
  const std::lock_guard lock(mutex_);
  saved_ = std::move(stores);
}

std::map<std::string, uint64_t> PeerGate::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace faultline::server
