// Include edges and purity.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "tidy/rules.h"

namespace faultline::tidy {
namespace {

struct Module {
  std::string_view name;
  // Modules that it may include, besides itself.
  std::vector<std::string_view> may_include;
};

// One row per module, lowest first; what is not listed (bin, tests, bench) may include anything.
// "spec" is what is pure in faults/: registry, parameters, every *spec*; "driver" is the rest of
// it.
const std::vector<Module>& Modules() {
  static const std::vector<Module> modules = {
      {"base", {}},
      {"rpc", {"base"}},
      {"http", {"base", "rpc"}},
      {"bpf", {"base"}},
      {"raft", {"base", "rpc"}},
      {"spec", {"base"}},
      {"control", {"base", "spec"}},
      {"driver", {"base", "bpf", "spec"}},
      {"agent", {"base", "bpf", "rpc", "http", "spec", "driver"}},
      {"server", {"base", "rpc", "http", "raft", "control", "spec"}},
      {"client", {"base", "rpc"}},
      {"cli", {"base", "rpc", "spec", "client", "agent", "server"}},
  };
  return modules;
}

bool IsTest(std::string_view path) {
  return path.ends_with("_test.cc") || path.starts_with("tests/");
}

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// In faults/ itself all is pure but the drivers' side; in a group's folder the other way round.
bool IsSpec(std::string_view path) {
  if (!path.starts_with("faults/")) return false;
  const std::string_view name = BaseName(path);
  const bool in_group = path.find('/', 7) != std::string_view::npos;
  if (in_group) {
    return name.find("spec") != std::string_view::npos || name.starts_with("parameters");
  }
  return !name.starts_with("driver") && !name.starts_with("undo");
}

// Module of a file, or of an include path ("raft/node.h", "network/v1/parameters.pb.h"); empty when
// it is none of ours.
std::string_view ModuleOf(std::string_view path, const std::set<std::string, std::less<>>& groups) {
  if (IsSpec(path)) return "spec";
  if (path.starts_with("faults/")) return "driver";
  const bool from_root = path.starts_with("src/");
  if (from_root) path.remove_prefix(4);
  const std::string_view first = path.substr(0, path.find('/'));
  if (!from_root && groups.contains(first)) return "spec";
  for (const Module& module : Modules()) {
    if (module.name == first && first != "spec" && first != "driver") return module.name;
  }
  return {};
}

std::set<std::string, std::less<>> Groups(const Sources& sources) {
  std::set<std::string, std::less<>> groups;
  for (const Source& source : sources) {
    const size_t version = source.path.find("/v1/");
    if (!source.path.starts_with("faults/") || version == std::string::npos) continue;
    groups.insert(source.path.substr(7, version - 7));
  }
  return groups;
}

struct Include {
  size_t line;
  std::string_view path;  // without its quotes or brackets
};

std::vector<Include> Includes(std::string_view code) {
  std::vector<Include> includes;
  size_t number = 0;
  for (std::string_view line : Lines(code)) {
    ++number;
    const size_t hash = line.find_first_not_of(' ');
    if (hash == std::string_view::npos || !line.substr(hash).starts_with("#include")) continue;
    const size_t open = line.find_first_of("<\"");
    if (open == std::string_view::npos) continue;
    const size_t close = line.find_first_of(">\"", open + 1);
    if (close == std::string_view::npos) continue;
    includes.push_back({number, line.substr(open + 1, close - open - 1)});
  }
  return includes;
}

bool MayInclude(std::string_view from, std::string_view to) {
  if (from == to) return true;
  const auto& modules = Modules();
  const auto module =
      std::find_if(modules.begin(), modules.end(), [&](const Module& m) { return m.name == from; });
  return std::find(module->may_include.begin(), module->may_include.end(), to) !=
         module->may_include.end();
}

// Beginnings and endings of include paths that no pure file has.
constexpr std::array kImpureBeginnings = {
    "linux/",     "sys/",  "net/",   "netinet/", "asm/",       "unistd.h",   "fcntl.h",
    "grpc",       "bpf/",  "thread", "mutex",    "fstream",    "random",     "iostream",
    "filesystem", "ctime", "future", "rocksdb",  "base/clock", "base/strand"};
constexpr std::array kImpureEndings = {".grpc.pb.h", ".skel.h", ".bpf.h"};

bool IsImpure(std::string_view include) {
  return std::any_of(kImpureBeginnings.begin(), kImpureBeginnings.end(),
                     [&](std::string_view b) { return include.starts_with(b); }) ||
         std::any_of(kImpureEndings.begin(), kImpureEndings.end(),
                     [&](std::string_view e) { return include.ends_with(e); });
}

}  // namespace

Complaints CheckIncludeEdges(const Sources& sources) {
  const auto groups = Groups(sources);
  Complaints complaints;
  for (const Source& source : sources) {
    if (!IsCpp(source.path) || IsTest(source.path)) continue;
    if (!source.path.starts_with("src/") && !source.path.starts_with("faults/")) continue;
    const std::string_view from = ModuleOf(source.path, groups);
    if (from.empty()) continue;
    const std::string code = WithoutComments(source.text, /*keep_strings=*/true);
    for (const Include& include : Includes(code)) {
      const std::string_view to = ModuleOf(include.path, groups);
      if (to.empty() || MayInclude(from, to)) continue;
      complaints.push_back(fmt::format("{}:{}: {} may not include {} (\"{}\")", source.path,
                                       include.line, from, to, include.path));
    }
  }
  return complaints;
}

Complaints CheckPurity(const Sources& sources) {
  Complaints complaints;
  for (const Source& source : sources) {
    if (!IsCpp(source.path) || IsTest(source.path)) continue;
    if (!source.path.starts_with("src/control/") && !IsSpec(source.path)) continue;
    const std::string code = WithoutComments(source.text, /*keep_strings=*/true);
    for (const Include& include : Includes(code)) {
      if (!IsImpure(include.path)) continue;
      complaints.push_back(fmt::format("{}:{}: is pure, and may not include \"{}\"", source.path,
                                       include.line, include.path));
    }
  }
  return complaints;
}

}  // namespace faultline::tidy
