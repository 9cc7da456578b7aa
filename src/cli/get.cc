// faultline get ID
#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/format.h"
#include "cli/table.h"

namespace faultline::cli {
namespace {

void PrintFacts(Output& out, const chaos::v1::Experiment& experiment, int64_t now_ns) {
  const auto fact = [&](std::string_view name, const std::string& text) {
    if (!text.empty()) out.Line(fmt::format("{:<10} {}", name, text));
  };
  fact("experiment", out.Styled(experiment.experiment_id(), Style::kBold));
  fact("status", out.Styled(StatusWord(experiment.status()), StyleOf(experiment.status())) + ", " +
                     experiment.phase());
  fact("reason", experiment.reason());
  fact("target", experiment.target());
  fact("faults", FaultsText(experiment, false));
  fact("seed", fmt::format("{}", experiment.seed()));
  fact("created", fmt::format("{} by {}", FormatTime(ToUnixNanos(experiment.created_at()), now_ns),
                              experiment.created_by()));
  fact("duration", FormatDuration(experiment.duration()));
  if (HasEnded(experiment)) {
    fact("ended", FormatTime(ToUnixNanos(experiment.ended_at()), now_ns));
  } else {
    fact("ends", fmt::format("{} (in {})", FormatTime(ToUnixNanos(experiment.ends_at()), now_ns),
                             LeftText(experiment, now_ns)));
  }
}

void PrintPairs(Output& out, const chaos::v1::Experiment& experiment, int64_t now_ns) {
  Table table({"TARGET", "FAULT", "PHASE", "SINCE", "REASON"});
  for (const auto& pair : experiment.targets()) {
    const int index = static_cast<int>(pair.fault_index());
    table.Row({pair.target_id(),
               index < experiment.faults_size() ? experiment.faults(index).kind() : "",
               Cell(PhaseWord(pair.phase()), StyleOf(pair.phase())),
               FormatTime(ToUnixNanos(pair.phase_since()), now_ns), pair.reason()});
  }
  table.Print(out);
}

// What is on the experiment's targets altogether.
void PrintEffective(Output& out, const chaos::v1::GetExperimentResponse& response) {
  for (const auto& target : response.effective()) {
    out.Line("");
    out.Line(fmt::format("on {}, in the order in which they act:", target.target_id()));
    Table table({"EXPERIMENT", "FAULT", "PHASE", "ON"});
    for (const auto& rule : target.rules()) {
      table.Row({rule.experiment_id(), FaultText(rule.fault()),
                 Cell(PhaseWord(rule.phase()), StyleOf(rule.phase())), ActsOnText(rule)});
    }
    table.Print(out);
    for (const std::string& line : CombinedTexts(target)) out.Line("together " + line);
  }
}

Status RunGet(Session& session, const std::string& id, bool stale) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  chaos::v1::GetExperimentRequest request;
  request.set_experiment_id(id);
  request.set_stale(stale);
  FL_ASSIGN_OR_RETURN(const auto response, client->GetExperiment(request, session.call()));
  NoteStale(session.out, response.freshness());
  if (session.out.json()) {
    session.out.Json(response);
    return absl::OkStatus();
  }
  const int64_t now_ns = UnixNowNs();
  PrintFacts(session.out, response.experiment(), now_ns);
  session.out.Line("");
  PrintPairs(session.out, response.experiment(), now_ns);
  PrintEffective(session.out, response);
  return absl::OkStatus();
}

}  // namespace

void AddGet(CLI::App& app, Session& session) {
  auto id = std::make_shared<std::string>();
  auto stale = std::make_shared<bool>(false);
  CLI::App* command =
      AddCommand(app, session,
                 {"get",
                  "Show one experiment with each of its targets, and all that acts on these",
                  {"faultline get exp-42", "faultline get exp-42 --json | jq .experiment.status"}},
                 [id, stale](Session& s) { return RunGet(s, *id, *stale); });
  command->add_option("ID", *id, "The experiment")->type_name("")->required();
  command->add_flag("--stale", *stale, "Ask any node, without its leader: may lag");
}

}  // namespace faultline::cli
