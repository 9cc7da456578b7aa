#include "controller_data.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "cli/flag_values.h"
#include "server/data_directory.h"

namespace faultline {
namespace {

using server::v1::DirectoryReport;

constexpr int kDamaged = 1, kUsage = 2;

struct Arguments {
  std::string dir = "/var/lib/faultline/controller";
  std::optional<uint64_t> id;
  bool json = false;
};

std::string ToJson(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = indented;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

int Fail(const Status& status) {
  std::fprintf(stderr, "faultline-controller: %s\n", ToString(status.message()).c_str());
  return status.code() == StatusCode::kDataLoss ? kDamaged : kUsage;
}

void Fact(std::string_view name, const std::string& text) {
  std::printf("%s\n", fmt::format("  {:<9} {}", name, text).c_str());
}

void PrintSnapshot(const server::v1::SnapshotSummary& snapshot) {
  Fact("snapshot", fmt::format("at entry {}, term {}: {} ({} bytes, {} unpacked)", snapshot.index(),
                               snapshot.term(), snapshot.file(), snapshot.size_bytes(),
                               snapshot.content_bytes()));
}

void PrintMembers(const DirectoryReport& report) {
  std::string members;
  for (const auto& member : report.members()) {
    members += fmt::format("{}{}={}{}", members.empty() ? "" : ", ", member.id(), member.address(),
                           member.learner() ? " (learner)" : "");
  }
  if (!members.empty()) Fact("members", members);
}

// "1 agent", "2 agents".
std::string Count(uint64_t count, std::string_view of) {
  return fmt::format("{} {}{}", count, of, count == 1 ? "" : "s");
}

void PrintState(const server::v1::StateSummary& state) {
  Fact("state", fmt::format("of cluster {}, version {}: {} ({} not ended), {}",
                            state.cluster_id().empty() ? "(none yet)" : state.cluster_id(),
                            state.version(), Count(state.experiments(), "experiment"),
                            state.unfinished(), Count(state.agents(), "agent")));
}

void Print(const DirectoryReport& report) {
  std::printf("%s\n", report.directory().c_str());
  if (report.node_id() != 0) {
    Fact("node", fmt::format("{} of cluster {}, directory {:016x}", report.node_id(),
                             report.cluster_id().empty() ? "(not known yet)" : report.cluster_id(),
                             report.store_id()));
  }
  Fact("term", report.term() == 0 ? "none"
               : report.voted_for() == 0
                   ? fmt::format("{}, no vote", report.term())
                   : fmt::format("{}, vote for node {}", report.term(), report.voted_for()));
  Fact("log", report.last_index() < report.first_index()
                  ? fmt::format("no entries after {}", report.last_index())
                  : fmt::format("entries {} to {}", report.first_index(), report.last_index()));
  if (report.has_snapshot()) PrintSnapshot(report.snapshot());
  PrintMembers(report);
  if (report.has_state()) PrintState(report.state());
  for (const auto& note : report.notes()) Fact("note", note);
  for (const auto& damage : report.damages()) {
    Fact("damage",
         fmt::format("{}{}: {}", damage.file(),
                     damage.has_offset() ? fmt::format(" at offset {}", damage.offset()) : "",
                     damage.what()));
  }
  for (const auto& cut : report.cuts()) Fact("lost", cut);
  for (const auto& advice : report.advice()) Fact("to do", advice);
  std::printf("%s\n", report.damaged() ? "damaged" : "nothing is damaged");
}

int Check(const Arguments& arguments) {
  const auto report = server::CheckDirectory(arguments.dir);
  if (!report.ok()) return Fail(report.status());
  if (arguments.json) {
    std::printf("%s\n", ToJson(*report, isatty(STDOUT_FILENO) == 1).c_str());
  } else {
    Print(*report);
  }
  return report->damaged() ? kDamaged : 0;
}

int Repair(const Arguments& arguments) {
  const auto report = server::RepairDirectory(arguments.dir, arguments.id);
  if (!report.ok()) return Fail(report.status());
  const DirectoryReport& before = report->before;
  if (!report->repaired) {
    std::printf("%s: nothing is damaged, and nothing was done\n", before.directory().c_str());
    return 0;
  }
  std::printf("%s\n", before.directory().c_str());
  for (const auto& cut : before.cuts()) Fact("cut", cut);
  Fact("kept", fmt::format("everything up to entry {}", before.last_index()));
  Fact("term",
       fmt::format("{}: raised by 1000, since a lost record may have held a vote", report->term));
  Fact("old", report->old_dir);
  std::printf(
      "repaired; what was acknowledged after entry %s may be missing. Other controllers of the "
      "cluster refuse\nthis directory as another one: stop all of them and remove the file 'peers' "
      "from their directories\nfirst, or replace this node\n",
      fmt::format("{}", before.last_index()).c_str());
  return 0;
}

int Export(const Arguments& arguments) {
  const Status status = server::ExportDirectory(arguments.dir, [](const auto& line) -> Status {
    const std::string json = ToJson(line, false) + "\n";
    if (std::fwrite(json.data(), 1, json.size(), stdout) == json.size()) return absl::OkStatus();
    return MakeError(StatusCode::kAborted, "standard output cannot be written");
  });
  if (!status.ok()) return Fail(status);
  return std::fflush(stdout) == 0
             ? 0
             : Fail(MakeError(StatusCode::kAborted, "standard output cannot be written"));
}

CLI::App* Add(CLI::App& app, const std::string& name, const std::string& help,
              const std::shared_ptr<Arguments>& arguments, int (*run)(const Arguments&),
              std::function<int()>* selected) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("DIR", arguments->dir, "the data directory (" + arguments->dir + ")")
      ->type_name("");
  command->callback(
      [arguments, run, selected] { *selected = [arguments, run] { return run(*arguments); }; });
  return command;
}

}  // namespace

void AddDataCommands(CLI::App& app, std::function<int()>* run) {
  const auto arguments = std::make_shared<Arguments>();
  app.require_subcommand(0, 1);
  Add(app, "check",
      "Read a data directory that no controller runs on, change nothing, and say what is there and "
      "what is damaged.\nExit code 0: nothing; 1: something; 2: wrong use, or a controller has it",
      arguments, Check, run)
      ->add_flag("--json", arguments->json, "print JSON for programs");
  Add(app, "repair",
      "Make a new directory of what can be read of a damaged one without a gap; the damaged one "
      "stays beside it.\nOnly for a cluster that has lost its majority: else replace the node",
      arguments, Repair, run)
      ->add_option("--id", arguments->id, "the node's number, when its identity is damaged too")
      ->transform(cli::WholeNumberIn(1, INT64_MAX));
  Add(app, "export",
      "Write the state in a data directory as JSON lines: the directory, experiments, agents. The "
      "last entries may not have been committed: only the other controllers know",
      arguments, Export, run);
}

}  // namespace faultline
