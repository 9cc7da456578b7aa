// How help looks: wrapped, a command's own flags before those that every command takes.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace faultline::cli {

class HelpFormatter : public CLI::FormatterBase {
 public:
  // `columns`: width that lines are wrapped at.
  explicit HelpFormatter(size_t columns) : columns_(columns) {}
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;

 private:
  std::string Usage(const CLI::App* app, const std::string& name) const;
  std::string Section(const std::string& title,
                      const std::vector<std::pair<std::string, std::string>>& rows) const;

  const size_t columns_;
};

// Lines of at most `columns`, broken at blanks; lines but the first begin with `indent` blanks.
std::string Wrapped(const std::string& text, size_t columns, size_t indent);

}  // namespace faultline::cli
