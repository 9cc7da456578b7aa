#include "tidy/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace faultline::tidy {
namespace {

std::string Output(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) output.append(buffer, n);
  pclose(pipe);
  return output;
}

// End of the string or character literal that begins at `from`.
size_t LiteralEnd(std::string_view text, size_t from) {
  if (text[from] == '"' && from > 0 && text[from - 1] == 'R') {
    const size_t open = text.find('(', from);
    if (open == std::string_view::npos) return text.size();
    const std::string close = ")" + std::string(text.substr(from + 1, open - from - 1)) + "\"";
    const size_t end = text.find(close, open);
    return end == std::string_view::npos ? text.size() : end + close.size();
  }
  size_t i = from + 1;
  while (i < text.size() && text[i] != text[from] && text[i] != '\n') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

// A quote inside a number (10'000) or after a word (don't, in a #error line) opens nothing.
bool OpensLiteral(std::string_view text, size_t i) {
  if (text[i] == '"') return true;
  return text[i] == '\'' && (i == 0 || !isalnum(static_cast<unsigned char>(text[i - 1])));
}

size_t CommentEnd(std::string_view text, size_t from) {
  const bool block = text[from + 1] == '*';
  const size_t end = block ? text.find("*/", from + 2) : text.find('\n', from);
  if (end == std::string_view::npos) return text.size();
  return block ? end + 2 : end;
}

}  // namespace

std::vector<Source> TrackedSources(const std::string& root) {
  std::vector<Source> sources;
  const std::string list = Output(fmt::format("git -C '{}' -c safe.directory='*' ls-files", root));
  for (const std::string_view path : Lines(list)) {
    if (path.empty()) continue;
    std::ifstream file(root + "/" + std::string(path), std::ios::binary);
    if (!file) continue;  // deleted, but still in the index
    std::ostringstream text;
    text << file.rdbuf();
    Source source{std::string(path), text.str(), text.str().size()};
    if (source.text.find('\0') != std::string::npos) source.text.clear();
    sources.push_back(std::move(source));
  }
  return sources;
}

std::string WithoutComments(std::string_view text, bool keep_strings) {
  std::string out(text);
  const auto blank = [&out](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
  };
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '/' && i + 1 < text.size() && (text[i + 1] == '/' || text[i + 1] == '*')) {
      const size_t end = CommentEnd(text, i);
      blank(i, end);
      i = end;
    } else if (OpensLiteral(text, i)) {
      const size_t end = LiteralEnd(text, i);
      if (!keep_strings) blank(i, end);
      i = end;
    } else {
      ++i;
    }
  }
  return out;
}

bool IsCpp(std::string_view path) {
  return path.ends_with(".cc") || path.ends_with(".h") || path.ends_with(".c");
}

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace faultline::tidy
