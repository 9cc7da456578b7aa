// faultline metrics [ID...]
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/flag_values.h"
#include "cli/follow.h"

namespace faultline::cli {
namespace {

struct MetricsArguments {
  std::vector<std::string> ids;
  std::string target;
  double rate_hz = 10;
  uint64_t count = 0;
  bool histogram = false, live = false, per_target = false;
};

chaos::v1::SubscribeToMetricsRequest MakeRequest(const MetricsArguments& arguments) {
  chaos::v1::SubscribeToMetricsRequest request;
  for (const auto& id : arguments.ids) request.add_experiment_ids(id);
  request.set_all(arguments.ids.empty() && arguments.target.empty());
  request.set_target(arguments.target);
  request.set_rate_hz(arguments.rate_hz);
  request.set_include_histogram(arguments.histogram || arguments.live);
  return request;
}

// A selector that matches nothing is an error now, not a silence for ever.
Status CheckTarget(Session& session, client::Client& client, const std::string& target) {
  if (target.empty()) return absl::OkStatus();
  chaos::v1::ListTargetsRequest request;
  request.set_target(target);
  return client.ListTargets(request, session.call()).status();
}

// A JSON document for each update, for programs. Of an end it has only what is set: there is no
// measurement that a program could take for one.
Status PrintMetrics(Session& session, client::Client& client, const MetricsArguments& arguments) {
  const auto stream = client.SubscribeToMetrics(MakeRequest(arguments), session.stream());
  std::set<std::string> untold(arguments.ids.begin(), arguments.ids.end());
  for (uint64_t seen = 0; arguments.count == 0 || seen < arguments.count; ++seen) {
    if (!session.out.writable()) break;
    const auto update = stream->Next();
    if (update.status().code() == StatusCode::kOutOfRange) TellEnds(session, client, untold);
    if (IsStreamsEnd(update.status())) break;
    if (!update.ok()) return update.status();
    session.out.JsonLine(*update, update->has_end() ? JsonFields::kSet : JsonFields::kAll);
    if (!update->has_end()) continue;
    untold.erase(update->experiment_id());
    session.out.Note(EndText(*update));
  }
  return absl::OkStatus();
}

Status RunMetrics(Session& session, const MetricsArguments& arguments) {
  if (arguments.live && session.out.json()) return NotTogether("--live", "--json");
  const Terminal& terminal = session.out.terminal();
  const bool prints_json = session.out.json() || (!terminal.redraws && !arguments.live);
  if (arguments.histogram && !prints_json) {
    return MakeError(StatusCode::kInvalidArgument, "--histogram is for JSON: give --json too");
  }
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  FL_RETURN_IF_ERROR(CheckTarget(session, *client, arguments.target));
  if (prints_json) return PrintMetrics(session, *client, arguments);
  const auto display = arguments.live ? MakeChart(terminal, arguments.per_target)
                                      : MakeTable(terminal, arguments.rate_hz);
  return FollowMetrics(session, *client, MakeRequest(arguments), arguments.count, *display);
}

}  // namespace

void AddMetrics(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<MetricsArguments>();
  CLI::App* command = AddCommand(
      app, session,
      {"metrics",
       "Follow what the kernel measures",
       {"faultline metrics", "faultline metrics exp-42",
        "faultline metrics --target service:checkout --rate 1",
        "faultline metrics exp-42 --live --per-target",
        "faultline metrics --target service:checkout --count 10 | jq .p99_latency_ms"},
       "A live table in a terminal, a JSON document per line in a pipe. Ends with "
       "Ctrl-C (exit code "
       "0), or soon after the experiments named have ended; of those that had ended before it "
       "gives the course from their reports."},
      [arguments](Session& s) { return RunMetrics(s, *arguments); });
  command->add_option("ID", arguments->ids, "Only these experiments; none: all of them")
      ->type_name("");
  command
      ->add_option("--target", arguments->target,
                   "Observe these targets, with or without an experiment")
      ->type_name("SELECTOR");
  command->add_option("--rate", arguments->rate_hz, "Updates a second of each line (10)")
      ->type_name("NUMBER")
      ->transform(NumberIn(0.001, 50));
  command->add_option("--count", arguments->count, "End after so many updates")
      ->type_name("NUMBER")
      ->transform(WholeNumberIn(1, 1'000'000'000));
  CLI::Option* live =
      command->add_flag("--live", arguments->live,
                        "Draw percentiles and drops over time; in a pipe a line for each second");
  command
      ->add_flag("--per-target", arguments->per_target,
                 "With --live: each target by itself, instead of all merged")
      ->needs(live);
  command
      ->add_flag("--histogram", arguments->histogram,
                 "With each update the buckets of its interval (JSON)")
      ->excludes(live);
}

}  // namespace faultline::cli
