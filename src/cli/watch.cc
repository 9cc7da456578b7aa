// faultline watch [ID...]
#include <map>
#include <set>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/format.h"

namespace faultline::cli {
namespace {

// What is to be known at the end of a watch of named experiments.
class Ending {
 public:
  explicit Ending(const std::vector<std::string>& ids) : open_(ids.begin(), ids.end()) {
    named_ = !ids.empty();
  }
  void See(const chaos::v1::Experiment& experiment) {
    if (!HasEnded(experiment) || open_.erase(experiment.experiment_id()) == 0) return;
    if (failure_.ok() && experiment.status() == chaos::v1::EXPERIMENT_STATUS_FAILED) {
      failure_ = FailedError(experiment);
    }
  }
  bool reached() const { return named_ && open_.empty(); }
  const Status& failure() const { return failure_; }

 private:
  std::set<std::string> open_;
  bool named_ = false;
  Status failure_;
};

void PrintChange(Output& out, const chaos::v1::Experiment& experiment) {
  const int64_t now_ns = UnixNowNs();
  std::string line = fmt::format(
      "{}  {}  {}, {}  {}  {} active", out.Styled(FormatTime(now_ns, now_ns), Style::kFaint),
      out.Styled(experiment.experiment_id(), Style::kBold),
      out.Styled(StatusWord(experiment.status()), StyleOf(experiment.status())), experiment.phase(),
      FaultsText(experiment, true), ActiveText(experiment));
  if (!HasEnded(experiment)) line += ", ends in " + LeftText(experiment, now_ns);
  if (!experiment.reason().empty()) line += "  " + experiment.reason();
  out.Line(line);
}

Status RunWatch(Session& session, const std::vector<std::string>& ids) {
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  // A wrong id is an error now, not a silence for ever.
  for (const auto& id : ids) {
    chaos::v1::GetExperimentRequest request;
    request.set_experiment_id(id);
    FL_RETURN_IF_ERROR(client->GetExperiment(request, session.call()).status());
  }
  chaos::v1::WatchExperimentsRequest request;
  for (const auto& id : ids) request.add_experiment_ids(id);
  const auto stream = client->WatchExperiments(request, session.stream());
  Ending ending(ids);
  while (!ending.reached() && session.out.writable()) {
    const auto change = stream->Next();
    const StatusCode code = change.status().code();
    if (code == StatusCode::kCancelled || code == StatusCode::kOutOfRange) return absl::OkStatus();
    if (!change.ok()) return change.status();
    if (session.out.json()) session.out.JsonLine(*change);
    for (const auto& experiment : change->experiments()) {
      if (!session.out.json()) PrintChange(session.out, experiment);
      ending.See(experiment);
    }
  }
  return ending.failure();
}

}  // namespace

void AddWatch(CLI::App& app, Session& session) {
  auto ids = std::make_shared<std::vector<std::string>>();
  CLI::App* command = AddCommand(
      app, session,
      {"watch",
       "Follow experiments: a line for each change",
       {"faultline watch", "faultline watch exp-42", "faultline watch --json | jq .revision"},
       "Ends with Ctrl-C (exit code 0), or, when experiments are named, once all of them have "
       "ended "
       "(exit code 1 when one failed)."},
      [ids](Session& s) { return RunWatch(s, *ids); });
  command->add_option("ID", *ids, "Only these experiments")->type_name("");
}

}  // namespace faultline::cli
