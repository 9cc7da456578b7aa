#include "cli/help.h"

#include <fmt/format.h>

#include <sstream>

namespace faultline::cli {
namespace {

using Row = std::pair<std::string, std::string>;

// Where the explanations begin.
constexpr size_t kNameColumns = 28;

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string OptionName(const CLI::Option* option) {
  if (option->get_positional()) return option->get_name(true);
  std::string name;
  for (const auto& letter : option->get_snames()) name += "-" + letter + ", ";
  for (const auto& word : option->get_lnames()) name += "--" + word + ", ";
  name.resize(name.size() - 2);
  if (option->get_items_expected_max() > 0) name += " " + option->get_type_name();
  return name;
}

}  // namespace

std::string Wrapped(const std::string& text, size_t columns, size_t indent) {
  std::istringstream words(text);
  std::string result, word;
  size_t used = indent;
  while (words >> word) {
    if (!result.empty() && used + 1 + word.size() > columns) {
      result += "\n" + std::string(indent, ' ');
      used = indent;
    } else if (!result.empty()) {
      result += ' ';
      ++used;
    }
    result += word;
    used += word.size();
  }
  return result;
}

std::string HelpFormatter::Usage(const CLI::App* app, const std::string& name) const {
  std::string usage = "Usage: " + (name.empty() ? app->get_name() : name);
  for (const auto* option : app->get_options()) {
    if (!option->get_positional()) continue;
    const std::string many = option->get_items_expected_max() > 1 ? "..." : "";
    usage += option->get_required() ? fmt::format(" {}{}", option->get_name(true), many)
                                    : fmt::format(" [{}{}]", option->get_name(true), many);
  }
  const bool has_commands = !app->get_subcommands(nullptr).empty();
  return usage + (has_commands ? " COMMAND" : "") + " [FLAGS]\n";
}

std::string HelpFormatter::Section(const std::string& title, const std::vector<Row>& rows) const {
  if (rows.empty()) return "";
  std::string section = "\n" + title + ":\n";
  for (const auto& [name, text] : rows) {
    section += "  " + name;
    const size_t used = 2 + name.size();
    section += used + 2 > kNameColumns ? "\n" + std::string(kNameColumns, ' ')
                                       : std::string(kNameColumns - used, ' ');
    section += Wrapped(text, columns_, kNameColumns) + "\n";
  }
  return section;
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode /*mode*/) const {
  std::istringstream description(app->get_description());
  std::string help, paragraph;
  while (std::getline(description, paragraph)) help += Wrapped(paragraph, columns_, 0) + "\n";
  help += "\n" + Usage(app, name);
  std::vector<Row> commands, positionals;
  for (const auto* command : app->get_subcommands(nullptr)) {
    commands.emplace_back(command->get_name(), FirstLine(command->get_description()));
  }
  help += Section("Commands", commands);
  for (const auto& group : app->get_groups()) {
    std::vector<Row> rows;
    for (const auto* option : app->get_options()) {
      if (option->get_group() != group) continue;
      const std::string required = option->get_required() ? " (required)" : "";
      (option->get_positional() ? positionals : rows)
          .emplace_back(OptionName(option), option->get_description() + required);
    }
    if (group == "Options") help += Section("Arguments", positionals);
    help += Section(group == "Options" ? "Flags" : group, rows);
  }
  return help + app->get_footer();
}

}  // namespace faultline::cli
