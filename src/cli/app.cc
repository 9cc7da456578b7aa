#include "cli/app.h"

#include <algorithm>
#include <sstream>

#include "base/text.h"
#include "cli/command.h"
#include "cli/flag_values.h"
#include "cli/help.h"

namespace faultline::cli {
namespace {

// `--delay_ms` is as good as `--delay-ms`: parameters are written with underscores elsewhere.
std::string Normalized(std::string argument) {
  if (!argument.starts_with("--")) return argument;
  const size_t name_end = std::min(argument.find('='), argument.size());
  std::replace(argument.begin(), argument.begin() + static_cast<ptrdiff_t>(name_end), '_', '-');
  return argument;
}

// To the command and all below it.
void AddGlobalFlags(CLI::App* command, GlobalFlags* flags) {
  const std::string group = "Connection and output";
  command
      ->add_option("--address", flags->address,
                   "Controller nodes, host:port separated by commas (FAULTLINE_ADDRESS; "
                   "127.0.0.1:7400)")
      ->type_name("ADDRESSES")
      ->group(group);
  command->add_option("--ca-file", flags->ca_file, "TLS: certificate authority (PEM)")
      ->type_name("FILE")
      ->group(group);
  command->add_option("--cert-file", flags->cert_file, "TLS: own certificate (PEM)")
      ->type_name("FILE")
      ->group(group);
  command->add_option("--key-file", flags->key_file, "TLS: key of the certificate (PEM)")
      ->type_name("FILE")
      ->group(group);
  constexpr TimeRange kTimeout{std::chrono::milliseconds(1), std::chrono::hours(24)};
  AddTime(command, "--timeout", &flags->timeout, kTimeout, "How long to try to get an answer (10s)")
      ->group(group);
  command->add_flag("--json", flags->json, "Print JSON for programs")->group(group);
  for (CLI::Option* option : command->get_options()) {
    if (option->get_group() != group || option->get_type_name().empty()) continue;
    option->check(NotEmpty());
  }
  for (CLI::App* part : command->get_subcommands(nullptr)) AddGlobalFlags(part, flags);
}

void AddAll(CLI::App& app, Session& session, const std::vector<std::string>& line) {
  AddStart(app, session, line);
  AddStop(app, session);
  AddGet(app, session);
  AddList(app, session);
  AddWatch(app, session);
  AddMetrics(app, session);
  AddReport(app, session);
  AddAgents(app, session);
  AddTargets(app, session);
  AddFaults(app, session);
  AddCluster(app, session);
  AddDev(app, session);
  AddCompletion(app, session);
  AddVersion(app, session);
  // Last, so that a command's own flags come first in its help.
  AddGlobalFlags(&app, &session.flags);
}

// What the parser says, as a sentence that begins in lower case.
std::string Sentence(const CLI::ParseError& error) {
  std::string text = error.what();
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (text.size() > 1 && isupper(static_cast<unsigned char>(text[0])) &&
      islower(static_cast<unsigned char>(text[1]))) {
    text[0] = static_cast<char>(tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

// "faultline start" for the command that the line names, to point at its help.
std::string CommandNamed(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? "faultline" : "faultline " + commands.front()->get_name();
}

}  // namespace

Status UnknownArgument(const std::vector<std::string>& extras, const std::string& command) {
  const auto flag = std::find_if(extras.begin(), extras.end(), [](const std::string& word) {
    return word.size() > 1 && word[0] == '-';
  });
  const bool no_command = command == "faultline";
  return MakeError(StatusCode::kInvalidArgument, "unknown {} '{}'; see '{} --help'",
                   flag != extras.end() ? "flag"
                   : no_command         ? "command"
                                        : "argument",
                   Shown(flag != extras.end() ? *flag : extras.front()), command);
}

Status NotTogether(std::string_view flag, std::string_view other) {
  return MakeError(StatusCode::kInvalidArgument, "{} and {} cannot be given together", flag, other);
}

std::string ExamplesText(const std::vector<std::string>& examples) {
  std::string text = "\nExamples:\n";
  for (const auto& example : examples) text += "  " + example + "\n";
  return text;
}

CLI::App* AddCommand(CLI::App& app, Session& session, const CommandText& text,
                     std::function<Status(Session&)> run) {
  const std::string more = text.details.empty() ? "" : "\n" + text.details;
  CLI::App* command = app.add_subcommand(text.name, text.summary + more);
  if (!text.examples.empty()) command->footer(ExamplesText(text.examples));
  command->callback([&session, run = std::move(run)] {
    session.selected = [&session, run] { return run(session); };
  });
  return command;
}

ExitCode Run(const std::vector<std::string>& arguments, Output& output,
             std::shared_ptr<client::Cancellation> interrupt) {
  Session session(output, std::move(interrupt));
  CLI::App app("Inject faults into running services, and see what they do.", "faultline");
  app.footer(ExamplesText({"faultline dev --port 8080", "faultline targets", "faultline faults",
                           "faultline list --status running", "faultline stop --all"}) +
             "\n'faultline COMMAND --help' tells more about a command.\n");
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", "faultline " FAULTLINE_VERSION,
                       "Print this program's version and exit");
  const int columns = std::clamp(output.terminal().columns, 60, 100);
  app.formatter(std::make_shared<HelpFormatter>(static_cast<size_t>(columns)));
  std::vector<std::string> line;
  for (const auto& argument : arguments) {
    if (!IsUtf8(argument)) {
      return output.Error(MakeError(StatusCode::kInvalidArgument,
                                    "'{}' on the command line is not a text in UTF-8",
                                    Shown(argument)));
    }
    line.push_back(Normalized(argument));
  }
  AddAll(app, session, line);
  try {
    std::vector<std::string> reversed(line.rbegin(), line.rend());  // as the parser wants it
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      std::ostringstream help, unused;
      app.exit(error, help, unused);
      output.Text(help.str());
      return ExitCode::kOk;
    }
    const auto extras = app.remaining(/*recurse=*/true);
    const bool unexpected = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
    if (unexpected && !extras.empty()) {
      return output.Error(UnknownArgument(extras, CommandNamed(app)));
    }
    return output.Error(MakeError(StatusCode::kInvalidArgument, "{}; see '{} --help'",
                                  Sentence(error), CommandNamed(app)));
  }
  output.set_json(session.flags.json);
  if (!session.selected) {
    output.Text(app.help());
    return ExitCode::kOk;
  }
  const ExitCode code = output.Error(session.selected());
  if (code != ExitCode::kOk || output.writable()) return code;
  return output.Error(MakeError(StatusCode::kAborted, "standard output cannot be written"));
}

}  // namespace faultline::cli
