#include "server/saved_snapshot.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "control/begin_anew.h"
#include "raft/write_directory.h"
#include "server/config.h"
#include "server/offline_state.h"
#include "server/state_image.h"

namespace faultline::server {
namespace {

namespace fs = std::filesystem;

// 64 bits in hex, as the first leader of a cluster makes them.
std::string HashOf(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  EVP_Digest(text.data(), text.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  std::string id;
  for (size_t i = 0; i < 8; ++i) id += fmt::format("{:02x}", hash[i]);
  return id;
}

std::vector<raft::Member> ById(std::vector<raft::Member> members) {
  std::sort(members.begin(), members.end(),
            [](const raft::Member& a, const raft::Member& b) { return a.id < b.id; });
  return members;
}

std::string NewClusterId(const std::string& from_cluster, const raft::SnapshotFacts& saved,
                         const std::vector<raft::Member>& members, const std::string& name) {
  const auto& metadata = saved.header.metadata();
  std::string text =
      fmt::format("restored 1\n{}\n{} {}\n{} {}\n{}\n", from_cluster, metadata.last_index(),
                  metadata.last_term(), saved.sum.size_bytes, saved.sum.crc32c, name);
  for (const raft::Member& member : members)
    text += fmt::format("{}={}\n", member.id, member.address);
  return HashOf(text);
}

// kRestoreEntries and one term behind the saved state: where the restore stands in the new
// cluster's log.
raft::pb::SnapshotHeader HeaderAfter(const raft::pb::SnapshotHeader& saved,
                                     const std::vector<raft::Member>& members) {
  raft::pb::SnapshotHeader header = saved;
  auto* metadata = header.mutable_metadata();
  metadata->set_last_index(saved.metadata().last_index() + kRestoreEntries);
  metadata->set_last_term(saved.metadata().last_term() + 1);
  metadata->set_configuration_index(metadata->last_index());
  metadata->clear_configuration();
  for (const raft::Member& member : members) {
    auto* added = metadata->mutable_configuration()->add_members();
    added->set_id(member.id);
    added->set_address(member.address);
  }
  return header;
}

// The place for the new directory, without a slash at its end.
StatusOr<std::string> EmptyPlace(const std::string& data_dir) {
  if (data_dir.empty()) return FieldError("data-dir", data_dir, "a directory that is to be made");
  std::error_code error;
  fs::path path = fs::weakly_canonical(data_dir, error);
  if (error) path = fs::absolute(data_dir);
  if (path.filename().empty()) path = path.parent_path();
  if (!fs::exists(path)) {
    fs::create_directories(path, error);
    if (error) {
      return FieldError("data-dir", path.string(),
                        "a directory that can be made: " + error.message());
    }
  }
  if (!fs::is_directory(path) || !fs::is_empty(path, error)) {
    return FieldError("data-dir", path.string(),
                      "a directory that is missing or empty; move the old one away");
  }
  return path.string();
}

struct Saved {
  raft::SnapshotFacts facts;
  control::State state;
};

StatusOr<Saved> ReadSaved(const std::string& path) {
  Saved saved;
  auto facts = raft::CheckSnapshotFile(path);
  if (facts.status().code() == StatusCode::kUnavailable) {
    return MakeError(StatusCode::kInvalidArgument, "{}", ToString(facts.status().message()));
  }
  if (!facts.ok()) return facts.status();
  saved.facts = *std::move(facts);
  FL_ASSIGN_OR_RETURN(saved.state, StateOfFile(path));
  return saved;
}

Status NotWritten(const Status& status) {
  return status.ok() ? status : MakeError(StatusCode::kAborted, "{}", ToString(status.message()));
}

}  // namespace

StatusOr<v1::SavedSnapshot> InspectSnapshot(const std::string& path) {
  FL_ASSIGN_OR_RETURN(const Saved saved, ReadSaved(path));
  v1::SavedSnapshot summary;
  *summary.mutable_snapshot() = Summarize(path, saved.facts);
  *summary.mutable_state() = Summarize(saved.state);
  return summary;
}

SnapshotDownload::SnapshotDownload(std::string path)
    : path_(std::move(path)), part_(path_ + ".part") {}

SnapshotDownload::~SnapshotDownload() {
  if (file_) unlink(part_.c_str());
}

Status SnapshotDownload::Begin() {
  file_ = std::make_unique<DurableFile>();
  return NotWritten(file_->Open(part_, 0));
}

Status SnapshotDownload::Append(std::string_view bytes) { return NotWritten(file_->Append(bytes)); }

StatusOr<v1::SavedSnapshot> SnapshotDownload::Finish() {
  if (!file_) return MakeError(StatusCode::kDataLoss, "the node gave no snapshot");
  FL_ASSIGN_OR_RETURN(v1::SavedSnapshot saved, InspectSnapshot(part_));
  FL_RETURN_IF_ERROR(NotWritten(file_->Publish(path_)));
  file_.reset();
  saved.mutable_snapshot()->set_file(path_);
  return saved;
}

StatusOr<v1::RestoredDirectory> RestoreSnapshot(const RestoreOptions& options) {
  const std::vector<raft::Member> members = ById(options.members);
  FL_RETURN_IF_ERROR(CheckMembers(options.node_id, members));
  FL_ASSIGN_OR_RETURN(Saved read, ReadSaved(options.file));
  const raft::SnapshotFacts& saved = read.facts;
  control::State& state = read.state;
  FL_ASSIGN_OR_RETURN(const std::string dir, EmptyPlace(options.data_dir));

  const raft::pb::SnapshotHeader header = HeaderAfter(saved.header, members);
  const auto& metadata = header.metadata();
  v1::RestoredDirectory restored;
  restored.set_directory(dir);
  restored.set_node_id(options.node_id);
  restored.set_from_cluster_id(state.cluster_id);
  restored.set_cluster_id(NewClusterId(state.cluster_id, saved, members, options.name));
  restored.set_index(metadata.last_index());
  restored.set_term(metadata.last_term());
  *restored.mutable_members() = metadata.configuration().members();
  // The time of the saving: every member must come to the same.
  restored.set_ended(control::BeginAnew(
      &state, restored.cluster_id(),
      fmt::format("the control plane was restored from what was saved at entry {}",
                  saved.header.metadata().last_index()),
      {metadata.last_index(), header.created_unix_ms()}));
  *restored.mutable_state() = Summarize(state);

  raft::Identity identity = raft::NewIdentity(options.node_id);
  identity.cluster_id = restored.cluster_id();
  raft::LogWrite log;
  log.hard_state = raft::HardState{metadata.last_term(), 0};
  const StateImage image(std::move(state));
  const std::string beside = raft::FreshPath(dir + ".restoring");
  FL_RETURN_IF_ERROR(NotWritten(raft::WriteDirectory(
      beside, identity, std::move(log),
      [&](raft::SnapshotFolder& folder) { return folder.Write(header, image); }, dir)));
  // Takes the place of an empty directory, and of no other.
  if (rename(beside.c_str(), dir.c_str()) != 0) {
    const Status status = MakeError(StatusCode::kFailedPrecondition, "{} cannot be replaced: {}",
                                    dir, ErrnoText(errno));
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    return status;
  }
  FL_RETURN_IF_ERROR(SyncFolder(fs::path(dir).parent_path()));
  return restored;
}

}  // namespace faultline::server
