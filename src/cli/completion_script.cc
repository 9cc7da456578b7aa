#include "cli/completion_script.h"

#include <fmt/format.h>

namespace faultline::cli {
namespace {

constexpr std::string_view kExperimentIds = "$(faultline list -q --timeout 1s 2>/dev/null)";
constexpr std::string_view kRunningIds =
    "$(faultline list -q --status pending,running --timeout 1s 2>/dev/null)";

constexpr const char* kClusterCommands =
    "status add promote remove address replace transfer snapshot";

template <typename Items>
std::string Names(const Items& items, std::string_view separator = " ") {
  std::string names;
  for (const auto& item : items) {
    if (!names.empty()) names += separator;
    names += item.name;
  }
  return names;
}

std::string PositionalWords(const ProgramModel& program, Positional positional) {
  switch (positional) {
    case Positional::kExperiments:
      return std::string(kExperimentIds);
    case Positional::kRunningExperiments:
      return std::string(kRunningIds);
    case Positional::kKinds:
      return Names(program.kinds);
    case Positional::kShells:
      return "bash zsh";
    case Positional::kClusterCommands:
      return kClusterCommands;
    case Positional::kNone:
      break;
  }
  return "";
}

// Cases of "$command $kind $prev" where the value is one of a few, or a file.
std::string BashValueCases(const std::string& scope, const std::vector<FlagModel>& flags) {
  std::string cases;
  for (const auto& flag : flags) {
    if (!flag.choices.empty()) {
      cases += fmt::format("    \"{} {}\") COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n",
                           scope, flag.name, fmt::join(flag.choices, " "));
    } else if (flag.value == "FILE" || flag.value == "DIRECTORY") {
      cases += fmt::format("    \"{} {}\") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n",
                           scope, flag.name);
    } else if (!flag.value.empty()) {
      cases += fmt::format("    \"{} {}\") return ;;\n", scope, flag.name);
    }
  }
  return cases;
}

// A text inside a zsh '...[help]:...' specification.
std::string ZshQuoted(const std::string& text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') quoted += '\\';
      quoted += c;
    }
  }
  return quoted;
}

std::string ZshFlag(const FlagModel& flag) {
  std::string spec = fmt::format("'*{}[{}]", flag.name, ZshQuoted(flag.help));
  if (!flag.choices.empty()) {
    spec += fmt::format(":{}:({})", ZshQuoted(flag.value), fmt::join(flag.choices, " "));
  } else if (flag.value == "FILE" || flag.value == "DIRECTORY") {
    spec += fmt::format(":{}:_files", ZshQuoted(flag.value));
  } else if (!flag.value.empty()) {
    spec += fmt::format(":{}:", ZshQuoted(flag.value));
  }
  return spec + "'";
}

std::string ZshFlags(const std::vector<FlagModel>& flags, std::string_view indent) {
  std::string text;
  for (const auto& flag : flags) text += fmt::format("{}{}\n", indent, ZshFlag(flag));
  return text;
}

std::string ZshPositional(const ProgramModel& program, Positional positional) {
  switch (positional) {
    case Positional::kExperiments:
    case Positional::kRunningExperiments:
      return "\"*:experiment:($ids)\"";
    case Positional::kKinds:
      return fmt::format("'1:kind:({})'", Names(program.kinds));
    case Positional::kShells:
      return "'1:shell:(bash zsh)'";
    case Positional::kClusterCommands:
      return fmt::format("'1:command:({})'", kClusterCommands);
    case Positional::kNone:
      break;
  }
  return "";
}

}  // namespace

std::string BashCompletion(const ProgramModel& program) {
  std::string cases, values = BashValueCases(" ", program.flags);
  for (const auto& command : program.commands) {
    cases += fmt::format("    {}) words=\"{} {}\" ;;\n", command.name, Names(command.flags),
                         PositionalWords(program, command.positional));
    values += BashValueCases(command.name + " ", command.flags);
  }
  std::string kind_cases;
  for (const auto& kind : program.kinds) {
    kind_cases += fmt::format("    {}) words+=\" {}\" ;;\n", kind.name, Names(kind.flags));
    for (const auto& command : program.commands) {
      if (command.name != "start") continue;
      values += BashValueCases("start " + kind.name, command.flags);
      values += BashValueCases("start " + kind.name, kind.flags);
    }
  }
  constexpr std::string_view kScript =
      R"sh(# bash completion for faultline: eval "$(faultline completion bash)"
_faultline() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
  local command= kind= word words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case "$command" in
    "") case "$word" in {0}) command=$word ;; esac ;;
    start) case "$word" in {1}) kind=$word ;; esac ;;
    esac
  done
  COMPREPLY=()
  case "$command $kind $prev" in
{2}  esac
  case "$command" in
    "") words="{3} {4}" ;;
{5}  esac
  case "$kind" in
{6}  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -F _faultline faultline
)sh";
  return fmt::format(kScript, Names(program.commands, "|"), Names(program.kinds, "|"), values,
                     Names(program.commands), Names(program.flags), cases, kind_cases);
}

std::string ZshCompletion(const ProgramModel& program) {
  std::string commands, cases, kinds, own_flags;
  for (const auto& flag : program.flags) own_flags += "    " + ZshFlag(flag) + " \\\n";
  for (const auto& kind : program.kinds) {
    kinds += fmt::format("      (( ${{words[(I){}]}} )) && flags+=(\n{}      )\n", kind.name,
                         ZshFlags(kind.flags, "        "));
  }
  for (const auto& command : program.commands) {
    commands += fmt::format("    '{}:{}'\n", command.name, ZshQuoted(command.help));
    cases += fmt::format("    {})\n", command.name);
    if (command.positional == Positional::kExperiments ||
        command.positional == Positional::kRunningExperiments) {
      cases +=
          fmt::format("      local ids=\"{}\"\n", PositionalWords(program, command.positional));
    }
    cases += fmt::format("      flags=(\n{}      )\n", ZshFlags(command.flags, "        "));
    if (command.name == "start") cases += kinds;
    cases += fmt::format("      _arguments \"${{flags[@]}}\" {}\n      ;;\n",
                         ZshPositional(program, command.positional));
  }
  constexpr std::string_view kScript =
      R"sh(#compdef faultline
# zsh completion for faultline: eval "$(faultline completion zsh)"
_faultline() {{
  local curcontext=$curcontext state line
  local -a flags commands
  commands=(
{0}  )
  _arguments -C \
{1}    '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $line[1] in
{2}    esac
    ;;
  esac
}}
if [[ $funcstack[1] == _faultline ]]; then
  _faultline "$@"
else
  compdef _faultline faultline
fi
)sh";
  return fmt::format(kScript, commands, own_flags, cases);
}

}  // namespace faultline::cli
