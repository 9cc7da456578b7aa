// faultline completion bash|zsh
#include <algorithm>

#include "cli/command.h"
#include "cli/completion_script.h"
#include "cli/kind_flags.h"
#include "faults/registry.h"

namespace faultline::cli {
namespace {

std::vector<FlagModel> FlagsOf(const CLI::App& app) {
  std::vector<FlagModel> flags;
  for (const CLI::Option* option : app.get_options()) {
    FlagModel flag;
    flag.help = option->get_description();
    if (option->get_items_expected_max() > 0) flag.value = option->get_type_name();
    const std::string& type = flag.value;
    if (type.find('|') != std::string::npos) flag.choices = CLI::detail::split(type, '|');
    for (const auto& name : option->get_snames()) {
      flag.name = "-" + name;
      flags.push_back(flag);
    }
    for (const auto& name : option->get_lnames()) {
      flag.name = "--" + name;
      flags.push_back(flag);
    }
  }
  return flags;
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

Positional PositionalOf(const std::string& command) {
  if (command == "start" || command == "faults") return Positional::kKinds;
  if (command == "completion") return Positional::kShells;
  if (command == "cluster") return Positional::kClusterCommands;
  if (command == "stop") return Positional::kRunningExperiments;
  const bool experiments =
      command == "get" || command == "watch" || command == "metrics" || command == "report";
  return experiments ? Positional::kExperiments : Positional::kNone;
}

ProgramModel Describe(const CLI::App& app) {
  ProgramModel program;
  program.flags = FlagsOf(app);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    program.commands.push_back({command->get_name(), FirstLine(command->get_description()),
                                FlagsOf(*command), PositionalOf(command->get_name())});
  }
  for (const auto& kind : faults::DescribeAll()) {
    CLI::App scratch;
    scratch.set_help_flag();
    AddKindFlags(&scratch, kind, std::make_shared<std::map<std::string, std::string>>());
    program.kinds.push_back({kind.name(), kind.summary(), FlagsOf(scratch)});
  }
  return program;
}

}  // namespace

void AddCompletion(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  const CLI::App* program = &app;
  CLI::App* command = AddCommand(
      app, session,
      {"completion",
       "Print the completion of commands, flags and kinds for a shell",
       {"eval \"$(faultline completion bash)\"", "eval \"$(faultline completion zsh)\""}},
      [shell, program](Session& s) {
        const ProgramModel model = Describe(*program);
        s.out.Text(*shell == "bash" ? BashCompletion(model) : ZshCompletion(model));
        return absl::OkStatus();
      });
  command->add_option("SHELL", *shell, "bash or zsh")
      ->type_name("")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
}

}  // namespace faultline::cli
