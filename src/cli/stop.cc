// faultline stop ID...|--all
#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/flag_values.h"
#include "cli/format.h"

namespace faultline::cli {
namespace {

struct StopArguments {
  std::vector<std::string> ids;
  bool all = false;
  bool wait = false;
  std::chrono::milliseconds wait_time{30'000};
  std::string reason;
};

// The longest is the API's.
constexpr TimeRange kWaitTime{std::chrono::milliseconds(1), std::chrono::minutes(10)};

Status CheckEnded(const chaos::v1::StopExperimentResponse& response,
                  std::chrono::nanoseconds wait_time) {
  for (const auto& experiment : response.experiments()) {
    if (HasEnded(experiment)) continue;
    return MakeDetailedError(
        StatusCode::kAborted, "STILL_STOPPING",
        fmt::format("experiment {} is still {} after {}: not every target confirms its revert",
                    experiment.experiment_id(), experiment.phase(),
                    FormatDuration(wait_time.count())));
  }
  return absl::OkStatus();
}

Status RunStop(Session& session, const StopArguments& arguments) {
  if (arguments.all == !arguments.ids.empty()) {
    return MakeError(StatusCode::kInvalidArgument,
                     "stop takes ids of experiments or --all; see 'faultline stop --help'");
  }
  chaos::v1::StopExperimentRequest request;
  for (const auto& id : arguments.ids) request.add_experiment_ids(id);
  request.set_all(arguments.all);
  request.set_reason(arguments.reason);
  if (arguments.wait) *request.mutable_wait() = ToDuration(arguments.wait_time);
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  FL_ASSIGN_OR_RETURN(const auto response, client->StopExperiment(request, session.call()));
  if (session.out.json()) {
    session.out.Json(response);
  } else {
    for (const auto& experiment : response.experiments()) {
      session.out.Line(
          fmt::format("{} {}", session.out.Styled(experiment.experiment_id(), Style::kBold),
                      session.out.Styled(experiment.phase(), StyleOf(experiment.status()))));
    }
    if (response.experiments().empty()) session.out.Note("nothing was running");
  }
  return arguments.wait ? CheckEnded(response, arguments.wait_time) : absl::OkStatus();
}

}  // namespace

void AddStop(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<StopArguments>();
  CLI::App* command = AddCommand(app, session,
                                 {"stop",
                                  "Stop experiments: their faults are reverted at once",
                                  {"faultline stop exp-42", "faultline stop --all --wait",
                                   "faultline stop exp-42 --reason 'seen enough'"}},
                                 [arguments](Session& s) { return RunStop(s, *arguments); });
  command->add_option("ID", arguments->ids, "Experiments to stop")->type_name("");
  command->add_flag("--all", arguments->all, "Stop every experiment");
  CLI::Option* wait =
      command->add_flag("--wait", arguments->wait,
                        "Wait until every target confirms its revert; fails (1) when one does not");
  AddTime(command, "--wait-time", &arguments->wait_time, kWaitTime, "How long --wait waits (30s)")
      ->needs(wait);
  command->add_option("--reason", arguments->reason, "Shown with the experiment")
      ->type_name("TEXT");
}

}  // namespace faultline::cli
