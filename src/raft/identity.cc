#include "raft/identity.h"

#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/durable_file.h"
#include "base/random.h"
#include "raft/crc32c.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

std::string PathIn(const std::string& dir) { return dir + "/identity"; }

std::string Body(const Identity& identity) {
  return fmt::format(
      "faultline-identity 1\nnode_id {}\nstore_id {:016x}\ncluster_id {}\njoined {}\n",
      identity.node_id, identity.store_id, identity.cluster_id.empty() ? "-" : identity.cluster_id,
      identity.joined ? 1 : 0);
}

StatusOr<Identity> Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return MakeError(StatusCode::kNotFound, "{} is missing", path);
  std::stringstream content;
  content << file.rdbuf();
  const std::string text = content.str();
  Identity identity;
  char cluster_id[128] = "";
  int joined = 0;
  uint32_t crc = 0;
  const int fields = std::sscanf(text.c_str(),
                                 "faultline-identity 1\nnode_id %" SCNu64 "\nstore_id %" SCNx64
                                 "\ncluster_id %127s\njoined %d\ncrc32c %" SCNx32,
                                 &identity.node_id, &identity.store_id, cluster_id, &joined, &crc);
  identity.cluster_id = std::string(cluster_id) == "-" ? "" : cluster_id;
  identity.joined = joined != 0;
  if (fields != 5 || crc != Crc32c(Body(identity))) {
    return MakeError(StatusCode::kDataLoss, "{} is damaged: repair or replace this node", path);
  }
  return identity;
}

// A node that did not join learns its cluster from its own log; one that joined has heard of it
// before it had any.
Status CheckHasLog(const std::string& dir, const Identity& identity) {
  std::error_code error;
  const bool had = !identity.joined && !identity.cluster_id.empty();
  if (!had || fs::exists(dir + "/CURRENT", error)) return absl::OkStatus();
  return MakeError(StatusCode::kDataLoss,
                   "node {} was a member of cluster {}, and its log in {} is gone ({}/CURRENT is "
                   "missing): bring the directory back, or remove the node and add it under a new "
                   "id with an empty data directory",
                   identity.node_id, identity.cluster_id, dir, dir);
}

}  // namespace

Status SaveIdentity(const std::string& dir, const Identity& identity) {
  const std::string body = Body(identity);
  return ReplaceFile(PathIn(dir), body + fmt::format("crc32c {:08x}\n", Crc32c(body)));
}

Identity NewIdentity(uint64_t node_id) {
  Identity identity;
  identity.node_id = node_id;
  identity.store_id = RandomNumber();
  return identity;
}

StatusOr<Identity> ReadIdentity(const std::string& dir) { return Read(PathIn(dir)); }

StatusOr<Identity> OpenIdentity(const std::string& dir, uint64_t node_id, bool joins) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) {
    return MakeError(StatusCode::kFailedPrecondition, "cannot make the data directory {}: {}", dir,
                     error.message());
  }
  if (fs::exists(PathIn(dir), error)) {
    FL_ASSIGN_OR_RETURN(Identity identity, Read(PathIn(dir)));
    if (identity.node_id != node_id) {
      return MakeDetailedError(StatusCode::kFailedPrecondition, "OTHER_NODES_DIRECTORY",
                               fmt::format("the data directory {} is node {}'s; this is node {}",
                                           dir, identity.node_id, node_id));
    }
    FL_RETURN_IF_ERROR(CheckHasLog(dir, identity));
    return identity;
  }
  Identity identity = NewIdentity(node_id);
  // Directories from before there were identities have a log already.
  identity.joined = joins && !fs::exists(dir + "/CURRENT", error);
  FL_RETURN_IF_ERROR(SaveIdentity(dir, identity));
  return identity;
}

}  // namespace faultline::raft
