#include "server/offline_state.h"

#include "control/apply.h"
#include "control/snapshot.h"
#include "control/version.h"

namespace faultline::server {
namespace {

Status TooNew(std::string_view what, uint32_t version) {
  return MakeDetailedError(
      StatusCode::kFailedPrecondition, "CLUSTER_VERSION",
      fmt::format("{} is of version {}, and this program knows versions up to {}: use a newer one",
                  what, version, control::kNewestVersion));
}

StatusOr<control::State> Decode(std::unique_ptr<ByteSource> bytes, const std::string& name) {
  FL_ASSIGN_OR_RETURN(const auto decoder, raft::SnapshotDecoder::Open(std::move(bytes), name));
  FL_ASSIGN_OR_RETURN(control::State state, control::ReadState(*decoder));
  if (state.version > control::kNewestVersion) return TooNew(name, state.version);
  return state;
}

}  // namespace

StatusOr<control::State> StateOf(const raft::Snapshot& snapshot) {
  FL_ASSIGN_OR_RETURN(auto bytes, snapshot.bytes->Read(0));
  return Decode(std::move(bytes), snapshot.bytes->name());
}

StatusOr<control::State> StateOfFile(const std::string& path) {
  FL_ASSIGN_OR_RETURN(auto bytes, raft::ReadFileFrom(path, 0));
  return Decode(std::move(bytes), path);
}

StatusOr<control::State> StateOf(const raft::LoadedLog& log) {
  control::State state;
  uint64_t applied = 0;
  if (log.snapshot) {
    FL_ASSIGN_OR_RETURN(state, StateOf(*log.snapshot));
    applied = log.snapshot->metadata.last_index();
  }
  uint64_t index = log.first_index;
  for (const raft::EntryPtr& entry : log.entries) {
    const uint64_t at = index++;
    if (at <= applied || entry->type() != raft::pb::ENTRY_TYPE_COMMAND) continue;
    control::v1::Command command;
    if (!command.ParseFromString(entry->data())) command.Clear();
    const uint32_t version = std::max(command.version(), control::VersionOf(command));
    if (version > control::kNewestVersion) return TooNew(fmt::format("entry {}", at), version);
    control::Apply(state, command, at);
  }
  return state;
}

v1::StateSummary Summarize(const control::State& state) {
  v1::StateSummary summary;
  summary.set_cluster_id(state.cluster_id);
  summary.set_version(state.version);
  summary.set_experiments(state.experiments.size());
  summary.set_unfinished(state.unfinished.size());
  summary.set_agents(state.agents.size());
  return summary;
}

v1::SnapshotSummary Summarize(const std::string& path, const raft::SnapshotFacts& snapshot) {
  v1::SnapshotSummary summary;
  const auto& metadata = snapshot.header.metadata();
  summary.set_file(path);
  summary.set_index(metadata.last_index());
  summary.set_term(metadata.last_term());
  *summary.mutable_created() = control::ToTimestamp(snapshot.header.created_unix_ms());
  summary.set_size_bytes(snapshot.sum.size_bytes);
  summary.set_content_bytes(snapshot.content_bytes);
  summary.set_crc32c(snapshot.sum.crc32c);
  *summary.mutable_members() = metadata.configuration().members();
  return summary;
}

}  // namespace faultline::server
