// What is in the files: names, notes, paths, labels, packages, lint.
#include "tidy/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>
#include <set>

namespace faultline::tidy {
namespace {

const Source* Find(const Sources& sources, std::string_view path) {
  const auto found =
      std::find_if(sources.begin(), sources.end(), [&](const Source& s) { return s.path == path; });
  return found == sources.end() ? nullptr : &*found;
}

bool StartsWithAny(std::string_view path, const std::vector<std::string_view>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](std::string_view b) { return path.starts_with(b); });
}

bool IsWordAt(std::string_view text, size_t at, size_t size) {
  const auto word = [&](size_t i) {
    return isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_';
  };
  return (at == 0 || !word(at - 1)) && (at + size >= text.size() || !word(at + size));
}

// Complains about each line of `text` that has `word`, whole when it is a word.
void ComplainAbout(const std::string& path, std::string_view text, std::string_view word,
                   std::string_view why, Complaints* complaints) {
  size_t number = 0;
  for (const std::string_view line : Lines(text)) {
    ++number;
    const size_t at = line.find(word);
    if (at == std::string_view::npos || !IsWordAt(line, at, word.size())) continue;
    complaints->push_back(fmt::format("{}:{}: '{}' {}", path, number, word, why));
  }
}

// Message names and kind names of one parameters.proto.
std::vector<std::string> KindsIn(const Source& proto) {
  static const std::regex kind(
      R"re(message (\w+) \{\s*option \(chaos\.v1\.fault_kind\) = \{\s*name: "(\w+)")re");
  const std::string text = WithoutComments(proto.text, /*keep_strings=*/true);
  std::vector<std::string> names;
  for (std::sregex_iterator at(text.begin(), text.end(), kind), end; at != end; ++at) {
    names.push_back((*at)[2]);
    names.push_back((*at)[1]);
  }
  return names;
}

}  // namespace

std::vector<std::string> FaultKindNames(const Sources& sources) {
  std::vector<std::string> names;
  for (const Source& source : sources) {
    if (!source.path.starts_with("faults/") || !source.path.ends_with(".proto")) continue;
    for (std::string& name : KindsIn(source)) names.push_back(std::move(name));
  }
  return names;
}

Complaints CheckFaultKindsStayInTheirSlice(const Sources& sources) {
  const std::vector<std::string> names = FaultKindNames(sources);
  Complaints complaints;
  if (names.empty()) complaints.push_back("faults/*/v1/*.proto: no fault kind found");
  for (const Source& source : sources) {
    const std::string& path = source.path;
    if (StartsWithAny(path, {"docs/", "tests/", "bench/", "scripts/demo.sh", "tools/demo"}))
      continue;
    if (path.ends_with("_test.cc") || path.ends_with(".md")) continue;
    const bool in_group = path.starts_with("faults/") && path.find('/', 7) != std::string::npos;
    if (in_group) continue;
    const bool code = IsCpp(path) || path.ends_with(".proto");
    const std::string text =
        code ? WithoutComments(source.text, /*keep_strings=*/true) : source.text;
    for (const std::string& name : names) {
      ComplainAbout(path, text, name, "is a fault kind, known only in its slice", &complaints);
    }
  }
  return complaints;
}

Complaints CheckUnfinished(const Sources& sources) {
  // Written apart, so that this file does not complain about itself.
  static const std::array<std::string, 3> words = {
      std::string("TO") + "DO", std::string("FIX") + "ME", std::string("X") + "XX"};
  Complaints complaints;
  for (const Source& source : sources) {
    const bool doc = source.path.ends_with(".md");
    for (const std::string& word : words) {
      const std::string text =
          doc ? std::regex_replace(source.text, std::regex(word + R"(\([\w ]+\))"), "")
              : source.text;
      ComplainAbout(source.path, text, word, doc ? "has no owner" : "is unfinished work",
                    &complaints);
    }
  }
  return complaints;
}

Complaints CheckTracked(const Sources& sources) {
  static const std::regex generated(
      R"((^|/)(build|node_modules)/|\.pb\.(h|cc)$|\.skel\.h$|\.(o|a|so|pyc)$|(^|/)vmlinux.*\.h$|(^|/)compile_commands\.json$)");
  constexpr uint64_t kMaxBytes = 1 << 20;
  Complaints complaints;
  for (const Source& source : sources) {
    if (std::regex_search(source.path, generated)) {
      complaints.push_back(source.path + ": is generated, and must not be tracked");
    }
    if (source.size_bytes > kMaxBytes) {
      complaints.push_back(
          fmt::format("{}: {} bytes, at most 1 MiB", source.path, source.size_bytes));
    }
  }
  return complaints;
}

Complaints CheckMachinePaths(const Sources& sources) {
  static const std::regex paths(R"((^|[\s"'=(:`])/(work|root|home/\w+|Users/\w+)/)");
  Complaints complaints;
  for (const Source& source : sources) {
    if (source.path == "package-lock.json" &&
        source.text.find("\"resolved\"") != std::string::npos) {
      complaints.push_back(source.path + ": holds download addresses; .npmrc leaves them out");
    }
    if (source.path.starts_with("tests/tidy/")) continue;
    size_t number = 0;
    for (const std::string_view line : Lines(source.text)) {
      ++number;
      if (line.size() < 2000 && std::regex_search(line.begin(), line.end(), paths)) {
        complaints.push_back(fmt::format("{}:{}: a path of one machine", source.path, number));
      }
    }
  }
  return complaints;
}

Complaints CheckLabels(const Sources& sources) {
  static const std::regex label(R"(\bLABEL\s+(\w+))");
  static const std::set<std::string> known = {"unit", "sim", "netns", "cluster", "e2e", "tidy"};
  const Source* runner = Find(sources, "scripts/test.sh");
  Complaints complaints;
  for (const std::string& name : known) {
    if (runner == nullptr || runner->text.find("build/dev/tests/" + name) == std::string::npos) {
      complaints.push_back(fmt::format("scripts/test.sh: does not run build/dev/tests/{}", name));
    }
  }
  for (const Source& source : sources) {
    if (!source.path.ends_with("CMakeLists.txt")) continue;
    for (std::sregex_iterator at(source.text.begin(), source.text.end(), label), end; at != end;
         ++at) {
      if (known.contains((*at)[1])) continue;
      complaints.push_back(fmt::format("{}: unknown test label '{}'", source.path, (*at)[1].str()));
    }
  }
  return complaints;
}

std::vector<std::string> BootstrapPackages(std::string_view bootstrap) {
  static const std::regex array(R"((?:packages|backported)\+?=\(([^)]*)\))");
  static const std::regex package(R"([a-z0-9][a-z0-9+.-]+)");
  const std::string text(bootstrap);
  std::vector<std::string> packages;
  for (std::sregex_iterator at(text.begin(), text.end(), array), end; at != end; ++at) {
    const std::string list = (*at)[1];
    for (std::sregex_iterator p(list.begin(), list.end(), package); p != end; ++p) {
      packages.push_back(p->str());
    }
  }
  return packages;
}

Complaints CheckDependencies(const Sources& sources) {
  const Source* bootstrap = Find(sources, "scripts/bootstrap.sh");
  const Source* docs = Find(sources, "docs/dependencies.md");
  if (bootstrap == nullptr || docs == nullptr) {
    return {"scripts/bootstrap.sh or docs/dependencies.md is missing"};
  }
  const std::vector<std::string> packages = BootstrapPackages(bootstrap->text);
  Complaints complaints;
  if (packages.empty()) complaints.push_back("scripts/bootstrap.sh: no package list found");
  for (const std::string& package : packages) {
    if (docs->text.find("`" + package + "`") == std::string::npos) {
      complaints.push_back(
          fmt::format("docs/dependencies.md: does not say what {} is for", package));
    }
  }
  return complaints;
}

Complaints CheckProtoLint(const Sources& sources) {
  const Source* runner = Find(sources, "scripts/test.sh");
  const Source* lint = Find(sources, "tools/check_proto.sh");
  const Source* config = Find(sources, "buf.yaml");
  Complaints complaints;
  if (runner == nullptr || runner->text.find("tools/check_proto.sh") == std::string::npos) {
    complaints.push_back("scripts/test.sh: does not run tools/check_proto.sh");
  }
  if (lint == nullptr || lint->text.find("buf\" lint") == std::string::npos) {
    complaints.push_back("tools/check_proto.sh: does not run buf lint");
  }
  if (config == nullptr) return {"buf.yaml: is missing"};
  static const std::regex module(R"(- path: (\S+))");
  for (const Source& source : sources) {
    if (!source.path.ends_with(".proto")) continue;
    bool covered = false;
    for (std::sregex_iterator at(config->text.begin(), config->text.end(), module), end; at != end;
         ++at) {
      covered = covered || source.path.starts_with((*at)[1].str() + "/");
    }
    if (!covered) complaints.push_back(source.path + ": is in none of buf.yaml's modules");
  }
  if (config->text.find("excludes:") != std::string::npos) {
    complaints.push_back("buf.yaml: excludes files from the lint");
  }
  return complaints;
}

}  // namespace faultline::tidy
