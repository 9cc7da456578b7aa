#include "cli/kind_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace faultline::cli {
namespace {

std::string KindSpelling(std::string_view text) {
  std::string name(text);
  for (char& c : name) {
    c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string Range(const chaos::v1::ParameterInfo& parameter) {
  const std::string unit = parameter.unit().empty() ? "" : " " + parameter.unit();
  if (parameter.has_min() && parameter.has_max()) {
    return fmt::format("{} to {}{}", parameter.min(), parameter.max(), unit);
  }
  if (parameter.has_min()) return fmt::format("at least {}{}", parameter.min(), unit);
  if (parameter.has_max()) return fmt::format("at most {}{}", parameter.max(), unit);
  return parameter.unit().empty() ? "" : "in " + parameter.unit();
}

// The help of a text that must be given ends with an example: "..., as in 10.0.0.1,10.0.0.2."
std::string ExampleIn(std::string_view help) {
  constexpr std::string_view kBefore = "as in ";
  const size_t found = help.rfind(kBefore);
  if (found == std::string_view::npos) return {};
  help.remove_prefix(found + kBefore.size());
  help.remove_suffix(help.ends_with('.') ? 1 : 0);
  return std::string(help);
}

// A value within the range that does little.
std::string ExampleValue(const chaos::v1::ParameterInfo& parameter) {
  if (!parameter.choices().empty()) return parameter.choices(0);
  if (parameter.type() == "flag") return "true";
  if (parameter.type().starts_with("text")) return ExampleIn(parameter.help());
  double value = 10;
  if (parameter.has_min()) value = std::max(value, parameter.min());
  if (parameter.has_max()) value = std::min(value, parameter.max());
  return fmt::format("{}", value);
}

}  // namespace

std::string FlagName(const std::string& parameter) {
  std::string flag = "--" + parameter;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string FlagHelp(const chaos::v1::ParameterInfo& parameter) {
  std::vector<std::string> facts;
  const std::string range = Range(parameter);
  if (!range.empty()) facts.push_back(range);
  if (parameter.required()) facts.push_back("required");
  if (!parameter.default_value().empty()) {
    const bool number = parameter.type() == "number" || parameter.type() == "integer";
    const std::string unit = number && !parameter.unit().empty() ? " " + parameter.unit() : "";
    facts.push_back(fmt::format("default {}{}", parameter.default_value(), unit));
  }
  std::string help = parameter.help();
  if (facts.empty()) return help;
  return fmt::format("{} [{}]", help, fmt::join(facts, "; "));
}

std::string FlagType(const chaos::v1::ParameterInfo& parameter) {
  if (!parameter.choices().empty()) return fmt::format("{}", fmt::join(parameter.choices(), "|"));
  if (parameter.type() == "flag") return "true|false";
  std::string type = parameter.type().substr(0, parameter.type().find(' '));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return parameter.type().ends_with("list") ? type + ",..." : type;
}

std::optional<chaos::v1::FaultKindInfo> KindOnLine(
    const std::vector<chaos::v1::FaultKindInfo>& kinds, const std::vector<std::string>& line) {
  const auto start = std::find(line.begin(), line.end(), "start");
  for (auto word = start; word != line.end(); ++word) {
    const std::string name = KindSpelling(*word);
    for (const auto& kind : kinds) {
      if (kind.name() == name) return kind;
    }
  }
  return std::nullopt;
}

void AddKindFlags(CLI::App* command, const chaos::v1::FaultKindInfo& kind,
                  std::shared_ptr<std::map<std::string, std::string>> values) {
  for (const auto& parameter : kind.parameters()) {
    const std::string name = parameter.name();
    CLI::Option* option = command->add_option_function<std::string>(
        FlagName(name), [values, name](const std::string& text) { (*values)[name] = text; },
        FlagHelp(parameter));
    option->type_name(FlagType(parameter))->group("Parameters of " + kind.name());
    if (parameter.type().ends_with("list")) option->join(',');
    if (parameter.type() == "flag") option->expected(0, 1)->default_str("true");
  }
}

std::string ExampleFlags(const chaos::v1::FaultKindInfo& kind) {
  std::vector<std::string> flags;
  for (const auto& parameter : kind.parameters()) {
    if (!parameter.required()) continue;
    flags.push_back(FlagName(parameter.name()) + " " + ExampleValue(parameter));
  }
  return fmt::format("{}", fmt::join(flags, " "));
}

Status AddPairs(const std::vector<std::string>& pairs, std::map<std::string, std::string>* values) {
  for (const auto& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return FieldError("--param", pair, "name=value");
    }
    const std::string name = pair.substr(0, equals);
    if (!values->emplace(name, pair.substr(equals + 1)).second) {
      return FieldError("--param", pair, fmt::format("'{}' was given already", name));
    }
  }
  return absl::OkStatus();
}

}  // namespace faultline::cli
