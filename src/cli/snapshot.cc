// faultline cluster snapshot save|inspect|restore
#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/flag_values.h"
#include "cli/format.h"
#include "server/config.h"
#include "server/saved_snapshot.h"

namespace faultline::cli {
namespace {

struct SnapshotArguments {
  std::string file;
  bool stale = false;
  std::string data_dir, members, name;
  uint64_t id = 0;
};
using Arguments = std::shared_ptr<SnapshotArguments>;

// "1 agent", "2 agents".
std::string Count(uint64_t count, std::string_view of) {
  return fmt::format("{} {}{}", count, of, count == 1 ? "" : "s");
}

std::string StateText(const server::v1::StateSummary& state) {
  return fmt::format("{} ({} not ended), {}", Count(state.experiments(), "experiment"),
                     state.unfinished(), Count(state.agents(), "agent"));
}

Status Save(Session& session, const SnapshotArguments& arguments) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  server::SnapshotDownload download(arguments.file);
  chaos::v1::Freshness freshness;
  client::SnapshotSink sink;
  sink.begin = [&](const chaos::v1::Freshness& of) {
    freshness = of;
    return download.Begin();
  };
  sink.data = [&](std::string_view bytes) { return download.Append(bytes); };
  chaos::v1::SaveSnapshotRequest request;
  request.set_stale(arguments.stale);
  FL_RETURN_IF_ERROR(client->SaveSnapshot(request, sink, session.call()));
  FL_ASSIGN_OR_RETURN(server::v1::SavedSnapshot saved, download.Finish());
  *saved.mutable_freshness() = freshness;
  if (session.out.json()) {
    session.out.Json(saved);
    return absl::OkStatus();
  }
  session.out.Line(fmt::format("saved cluster {} at entry {} to {} ({} bytes): {}",
                               saved.state().cluster_id(), saved.snapshot().index(), arguments.file,
                               saved.snapshot().size_bytes(), StateText(saved.state())));
  session.out.Line(FreshnessText(freshness));
  return absl::OkStatus();
}

Status Inspect(Session& session, const SnapshotArguments& arguments) {
  FL_ASSIGN_OR_RETURN(const server::v1::SavedSnapshot saved,
                      server::InspectSnapshot(arguments.file));
  if (session.out.json()) {
    session.out.Json(saved);
    return absl::OkStatus();
  }
  const auto fact = [&](std::string_view name, const std::string& text) {
    session.out.Line(fmt::format("{:<8} {}", name, text));
  };
  const auto& snapshot = saved.snapshot();
  fact("cluster", saved.state().cluster_id());
  fact("entry", fmt::format("{}, term {}", snapshot.index(), snapshot.term()));
  fact("saved", FormatTime(ToUnixNanos(snapshot.created()), UnixNowNs()));
  fact("state", fmt::format("version {}: {}", saved.state().version(), StateText(saved.state())));
  for (const auto& member : snapshot.members()) {
    fact("member", fmt::format("{}={}{}", member.id(), member.address(),
                               member.learner() ? " (learner)" : ""));
  }
  fact("file", fmt::format("{} bytes, {} unpacked, CRC-32C {:08x}: whole", snapshot.size_bytes(),
                           snapshot.content_bytes(), snapshot.crc32c()));
  return absl::OkStatus();
}

Status Restore(Session& session, const SnapshotArguments& arguments) {
  server::RestoreOptions options;
  options.file = arguments.file;
  options.data_dir = arguments.data_dir;
  options.node_id = arguments.id;
  FL_ASSIGN_OR_RETURN(options.members, server::ParseMembers(arguments.members));
  options.name = arguments.name;
  FL_ASSIGN_OR_RETURN(const server::v1::RestoredDirectory restored,
                      server::RestoreSnapshot(options));
  if (session.out.json()) {
    session.out.Json(restored);
    return absl::OkStatus();
  }
  session.out.Line(fmt::format(
      "{} is node {}'s data directory in the new cluster {}: what cluster {} had at entry {}, {}",
      restored.directory(), restored.node_id(), restored.cluster_id(), restored.from_cluster_id(),
      restored.index() - server::kRestoreEntries, StateText(restored.state())));
  if (restored.ended() > 0) {
    session.out.Line(Count(restored.ended(), "experiment") + " that had not ended: ended");
  }
  if (restored.members_size() > 1) {
    session.out.Note(
        "restore every member from the same file with the same --members and --name, then start "
        "them");
  }
  return absl::OkStatus();
}

void AddFile(CLI::App* command, const Arguments& arguments, const char* help) {
  command->add_option("FILE", arguments->file, help)->type_name("")->required();
}

void AddRestore(CLI::App& snapshot, Session& session, const Arguments& arguments) {
  CLI::App* restore = AddCommand(
      snapshot, session,
      {"restore",
       "Make a data directory of a new cluster that begins with a saved snapshot",
       {"faultline cluster snapshot restore faultline.snapshot --data-dir "
        "/var/lib/faultline/controller --id 1 --members "
        "1=10.0.0.1:7401,2=10.0.0.2:7401,3=10.0.0.3:7401"},
       "For a cluster that lost its majority. On each host of the new one, with the same file and "
       "members and that host's --id; asks no controller. Experiments that had not ended are "
       "ended. Agents follow once their lease of the old cluster is over."},
      [arguments](Session& s) { return Restore(s, *arguments); });
  AddFile(restore, arguments, "What 'save' wrote");
  restore->add_option("--data-dir", arguments->data_dir, "Missing or empty")
      ->type_name("DIR")
      ->required();
  restore->add_option("--id", arguments->id, "Whose directory it is to be")
      ->transform(WholeNumberIn(1, INT64_MAX))
      ->type_name("NODE")
      ->required();
  restore
      ->add_option("--members", arguments->members,
                   "The new cluster: 1=host:port,2=host:port,... of the peer listeners")
      ->type_name("MEMBERS")
      ->required();
  restore
      ->add_option("--name", arguments->name,
                   "Any text: with another one it is another cluster, also of the same file and "
                   "members")
      ->type_name("NAME");
}

}  // namespace

void AddSnapshot(CLI::App& cluster, Session& session) {
  CLI::App* snapshot = cluster.add_subcommand(
      "snapshot", "Save the whole state, look at what was saved, begin a new cluster with it");
  snapshot->footer(ExamplesText({"faultline cluster snapshot save faultline.snapshot",
                                 "faultline cluster snapshot inspect faultline.snapshot"}));
  snapshot->require_subcommand(1);
  const auto arguments = std::make_shared<SnapshotArguments>();
  CLI::App* save = AddCommand(
      *snapshot, session,
      {"save",
       "Save the whole state of the control plane to a file",
       {"faultline cluster snapshot save faultline.snapshot",
        "faultline cluster snapshot save faultline.snapshot --stale --address node2:7400"},
       "The file is read and checked before it takes the place of what is there."},
      [arguments](Session& s) { return Save(s, *arguments); });
  AddFile(save, arguments, "Where to");
  save->add_flag("--stale", arguments->stale,
                 "What one node has, without a leader: when the majority is lost");
  CLI::App* inspect = AddCommand(*snapshot, session,
                                 {"inspect",
                                  "Check a saved snapshot, and say what is in it",
                                  {"faultline cluster snapshot inspect faultline.snapshot"},
                                  "Asks no controller."},
                                 [arguments](Session& s) { return Inspect(s, *arguments); });
  AddFile(inspect, arguments, "What 'save' wrote");
  AddRestore(*snapshot, session, arguments);
}

}  // namespace faultline::cli
