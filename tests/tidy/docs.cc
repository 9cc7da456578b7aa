// What the docs name.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <regex>

#include "tidy/rules.h"

namespace faultline::tidy {
namespace {

// A file, or a folder that has files.
bool IsThere(const Sources& sources, const std::string& path) {
  return std::any_of(sources.begin(), sources.end(), [&](const Source& source) {
    return source.path == path || source.path.starts_with(path + "/");
  });
}

// What `expression` catches in the document and does not exist below `base`.
void ComplainAboutMissing(const Sources& sources, const Source& document,
                          const std::regex& expression, const std::filesystem::path& base,
                          Complaints* complaints) {
  const std::string& text = document.text;
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at) {
    const std::string named = (*at)[1];
    std::string path = (base / named).lexically_normal().string();
    if (path.ends_with('/')) path.pop_back();
    if (IsThere(sources, path)) continue;
    complaints->push_back(fmt::format("{}: names {}, which is not there", document.path, named));
  }
}

}  // namespace

Complaints CheckDocPaths(const Sources& sources) {
  static const std::regex link(R"re(\]\(([\w.][^)#: ]*)[^):]*\))re");
  static const std::regex path(
      R"re(`((?:api|src|faults|tests|tools|scripts|deploy|docs)/[\w./-]+)`)re");
  Complaints complaints;
  for (const Source& source : sources) {
    if (!source.path.ends_with(".md")) continue;
    const std::filesystem::path folder = std::filesystem::path(source.path).parent_path();
    ComplainAboutMissing(sources, source, link, folder, &complaints);
    if (source.path == "docs/architecture.md") {
      ComplainAboutMissing(sources, source, path, "", &complaints);
    }
  }
  return complaints;
}

}  // namespace faultline::tidy
