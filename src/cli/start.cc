// faultline start KIND --target SELECTOR [flags of the kind], or start -f FILE
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/clock.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/experiment_file.h"
#include "cli/flag_values.h"
#include "cli/format.h"
#include "cli/kind_flags.h"
#include "cli/wait.h"
#include "faults/registry.h"

namespace faultline::cli {
namespace {

struct StartArguments {
  std::string kind, file, request_id;
  std::optional<std::string> target;
  std::optional<std::chrono::milliseconds> duration;
  std::optional<uint64_t> seed;
  bool wait = false;
  std::vector<std::string> pairs;
  std::shared_ptr<std::map<std::string, std::string>> parameters =
      std::make_shared<std::map<std::string, std::string>>();
};

Status Usage(const std::string& sentence) {
  return MakeError(StatusCode::kInvalidArgument, "{}; see 'faultline start --help'", sentence);
}

// A request, and what is known of the file that it comes from.
StatusOr<ExperimentFile> ReadGiven(const StartArguments& arguments) {
  if (arguments.file.empty() && arguments.kind.empty()) {
    return Usage("start takes a KIND of fault, or -f FILE");
  }
  ExperimentFile given;
  std::map<std::string, std::string> parameters = *arguments.parameters;
  FL_RETURN_IF_ERROR(AddPairs(arguments.pairs, &parameters));
  if (!arguments.file.empty()) {
    if (!arguments.kind.empty()) return Usage("start takes a KIND of fault or -f FILE, not both");
    if (!parameters.empty()) return Usage("parameters stand in the file when there is one");
    return ReadExperimentFile(arguments.file, std::cin);
  }
  given.request.set_fault_type(arguments.kind);
  for (const auto& [name, value] : parameters) {
    (*given.request.mutable_parameters())[name] = value;
  }
  return given;
}

// Flags win over the file.
StatusOr<ExperimentFile> MakeRequest(const StartArguments& arguments) {
  FL_ASSIGN_OR_RETURN(ExperimentFile given, ReadGiven(arguments));
  auto& request = given.request;
  if (arguments.target) {
    request.set_target(*arguments.target);
    given.lines.erase("target");
  } else if (request.target().empty()) {
    return Usage(arguments.file.empty() ? "--target is required"
                                        : "--target is required when the file has no target");
  }
  if (arguments.duration) {
    *request.mutable_duration() = ToDuration(*arguments.duration);
    given.lines.erase("duration");
  }
  if (arguments.seed) request.set_seed(*arguments.seed);
  request.set_request_id(arguments.request_id.empty() ? client::NewRequestId()
                                                      : arguments.request_id);
  return given;
}

// After an end without an answer nobody knows whether the request was carried out.
void TellDoubt(Session& session, const Status& error, const std::string& request_id) {
  const auto detail = DetailOf(error);
  if (detail && detail->reason() == "UNREACHABLE") return;
  if (error.code() != StatusCode::kCancelled && error.code() != StatusCode::kDeadlineExceeded &&
      error.code() != StatusCode::kUnavailable) {
    return;
  }
  session.out.Note(
      fmt::format("the experiment may have begun all the same; asking again with --request-id {} "
                  "tells, and begins it only once",
                  request_id));
}

void PrintStarted(Session& session, const chaos::v1::Experiment& experiment) {
  const std::string& id = experiment.experiment_id();
  const int64_t now_ns = UnixNowNs();
  std::set<std::string> targets;  // each stands once for each fault
  for (const auto& pair : experiment.targets()) targets.insert(pair.target_id());
  session.out.Line(fmt::format("{} {}: {} on {}", session.out.Styled(id, Style::kBold),
                               session.out.Styled(experiment.phase(), StyleOf(experiment.status())),
                               FaultsText(experiment, true), Counted(targets.size(), "target")));
  session.out.Line(fmt::format("  ends at  {} (in {})",
                               FormatTime(ToUnixNanos(experiment.ends_at()), now_ns),
                               LeftText(experiment, now_ns)));
  session.out.Line(fmt::format("  stop     faultline stop {}", id));
  session.out.Line(fmt::format("  observe  faultline metrics {}", id));
}

// Faults add up: nobody is to find that out from the effect. What cannot be asked is not told: the
// experiment has begun.
void TellStacked(Session& session, client::Client& client, const std::string& id) {
  chaos::v1::GetExperimentRequest request;
  request.set_experiment_id(id);
  const auto response = client.GetExperiment(request, session.call());
  if (!response.ok()) return;
  for (const std::string& text : StackedTexts(*response)) session.out.Note(text);
}

// When the request was sent, and how long it took from then until this program knew it active.
struct StartTimes {
  uint64_t sent_unix_ns = 0;
  double to_active_ms = 0;
};

// The response, with its times when it was waited for.
std::string StartJson(const chaos::v1::StartExperimentResponse& response,
                      const std::optional<StartTimes>& times, bool indented) {
  if (!times) return ToJson(response, indented);
  auto json = nlohmann::ordered_json::parse(ToJson(response, false));
  json["start_to_active_ms"] = times->to_active_ms;
  json["sent_unix_ns"] = std::to_string(times->sent_unix_ns);
  return json.dump(indented ? 1 : -1);
}

Status RunStart(Session& session, const StartArguments& arguments) {
  FL_ASSIGN_OR_RETURN(const ExperimentFile given, MakeRequest(arguments));
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  const uint64_t sent_unix_ns = static_cast<uint64_t>(UnixNowNs());
  const uint64_t sent_ns = MonotonicNowNs();
  auto answer = client->StartExperiment(given.request, session.call());
  if (!answer.ok()) {
    TellDoubt(session, answer.status(), given.request.request_id());
    return AtItsLine(answer.status(), given);
  }
  chaos::v1::StartExperimentResponse& response = *answer;
  std::optional<StartTimes> times;
  Status outcome;
  if (arguments.wait) {
    auto waited = WaitUntilArmed(session, *client, response.experiment());
    if (waited.status().code() == StatusCode::kCancelled) {
      session.out.Note(fmt::format("the experiment goes on; 'faultline stop {}' ends it",
                                   response.experiment_id()));
    }
    if (!waited.ok()) return waited.status();
    times = {sent_unix_ns, static_cast<double>(MonotonicNowNs() - sent_ns) / 1e6};
    *response.mutable_experiment() = *waited;
    if (waited->status() == chaos::v1::EXPERIMENT_STATUS_FAILED) outcome = FailedError(*waited);
  }
  if (session.out.json()) {
    session.out.JsonText(StartJson(response, times, session.out.terminal().out));
  } else if (outcome.ok()) {
    PrintStarted(session, response.experiment());
    TellStacked(session, *client, response.experiment_id());
  }
  return outcome;
}

// An error about the words of the line that no flag takes; `unknown_kind` when the kind is none of
// `names`.
Status CheckExtras(const std::vector<std::string>& extras, const std::string& unknown_kind,
                   const std::vector<std::string>& names) {
  if (extras.empty()) return absl::OkStatus();
  if (unknown_kind.empty() || !extras.front().starts_with("--")) {
    return UnknownArgument(extras, "faultline start");
  }
  return MakeError(StatusCode::kInvalidArgument,
                   "'{}' is no kind that this program knows ({}), so it has no flag '{}'; --param "
                   "gives a parameter of a kind that only the controller knows",
                   Shown(unknown_kind), fmt::join(names, ", "), Shown(extras.front()));
}

CommandText Text(const std::vector<chaos::v1::FaultKindInfo>& kinds,
                 const std::optional<chaos::v1::FaultKindInfo>& kind) {
  CommandText text{"start", "Start an experiment: faults on every target that matches", {}};
  const chaos::v1::FaultKindInfo& example = kind ? *kind : kinds.front();
  const std::string begin =
      fmt::format("faultline start {} --target service:checkout,version:v1 {}", example.name(),
                  ExampleFlags(example));
  text.examples = {begin, begin + " --duration 2m --wait"};
  if (kind) return text;
  text.examples.push_back(fmt::format("faultline start {} --help", example.name()));
  text.examples.push_back("faultline start -f experiment.yaml");
  text.examples.push_back("faultline get exp-42 --json | faultline start -f -");
  return text;
}

void AddCommonFlags(CLI::App* command, const std::shared_ptr<StartArguments>& arguments) {
  command
      ->add_option("--target", arguments->target,
                   "Selector of targets: key:value pairs that all must match a label; 'target' and "
                   "'agent' match ids")
      ->type_name("SELECTOR");
  command
      ->add_option("-f,--file", arguments->file,
                   "Target, duration, seed and faults from a YAML or JSON file ('-': standard "
                   "input) instead of KIND; flags win over it")
      ->type_name("FILE");
  AddTime(command, "--duration", &arguments->duration, kExperimentTime,
          "When it ends at the latest (10m)");
  command->add_option("--seed", arguments->seed, "Repeats the random choices of an earlier run")
      ->transform(WholeNumberIn(0, UINT64_MAX))
      ->type_name("NUMBER");
  command
      ->add_option("--request-id", arguments->request_id,
                   "Makes repeating safe: the same id gives the same experiment")
      ->type_name("TEXT");
  command->add_flag("--wait", arguments->wait, "Wait until the fault is active, or refused");
  command->add_option("--param", arguments->pairs, "Any parameter of the kind by its name")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
}

}  // namespace

void AddStart(CLI::App& app, Session& session, const std::vector<std::string>& line) {
  const auto kinds = faults::DescribeAll();
  const auto kind = KindOnLine(kinds, line);
  auto arguments = std::make_shared<StartArguments>();
  std::vector<std::string> names;
  for (const auto& known : kinds) names.push_back(known.name());
  const auto run = [&app, arguments, kind, names](Session& s) {
    if (kind) arguments->kind = kind->name();
    const auto extras = app.get_subcommand("start")->remaining();
    const bool known = kind || !arguments->file.empty();
    FL_RETURN_IF_ERROR(CheckExtras(extras, known ? "" : arguments->kind, names));
    return RunStart(s, *arguments);
  };
  CLI::App* command = AddCommand(app, session, Text(kinds, kind), run);
  // A kind misspelt makes all its flags unknown: the error is about the kind.
  command->allow_extras();
  command
      ->add_option(
          "KIND", arguments->kind,
          kind ? kind->summary()
               : fmt::format("{}; each with --help tells its parameters", fmt::join(names, ", ")))
      ->type_name("");
  AddCommonFlags(command, arguments);
  if (kind) AddKindFlags(command, *kind, arguments->parameters);
}

}  // namespace faultline::cli
