#include "cli/dev_setup.h"

#include <fmt/ranges.h>

namespace faultline::cli {
namespace {

std::string InterfaceOf(const DevFlags& flags) {
  return flags.interface.empty() ? "lo" : flags.interface;
}

std::vector<std::string> LabelsOf(const DevFlags& flags) {
  if (!flags.labels.empty()) return flags.labels;
  return {"name:" + flags.name};
}

// A YAML scalar in double quotes.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string TargetYaml(const DevFlags& flags) {
  std::string yaml = fmt::format("targets:\n- name: {}\n  interface: {}\n", Quoted(flags.name),
                                 Quoted(InterfaceOf(flags)));
  if (!flags.netns.empty()) yaml += fmt::format("  netns: {}\n", Quoted(flags.netns));
  if (!flags.ports.empty()) yaml += fmt::format("  ports: [{}]\n", fmt::join(flags.ports, ", "));
  yaml += "  labels:\n";
  for (const auto& label : LabelsOf(flags)) {
    const size_t colon = label.find(':');
    yaml += fmt::format("    {}: {}\n", Quoted(label.substr(0, colon)),
                        Quoted(label.substr(colon + 1)));
  }
  return yaml;
}

}  // namespace

Status CheckDevFlags(const DevFlags& flags) {
  const bool has_target = !flags.interface.empty() || !flags.netns.empty() ||
                          !flags.ports.empty() || !flags.labels.empty();
  if (!flags.config_path.empty() && has_target) {
    return FieldError("--config", flags.config_path,
                      "it names the targets, so not together with --interface, --netns, --port or "
                      "--label");
  }
  if (!flags.netns.empty() && flags.interface.empty()) {
    return FieldError("--netns", flags.netns, "only together with --interface");
  }
  for (const auto& label : flags.labels) {
    const size_t colon = label.find(':');
    if (colon == 0 || colon == std::string::npos || colon + 1 == label.size()) {
      return FieldError("--label", label, "key:value");
    }
  }
  return absl::OkStatus();
}

std::string AgentConfig(const DevFlags& flags, const std::string& directory,
                        const std::string& targets_yaml) {
  std::string yaml = targets_yaml.empty() ? TargetYaml(flags) : targets_yaml;
  if (!yaml.ends_with('\n')) yaml += '\n';
  yaml += fmt::format("controllers: [{}]\n", Quoted(flags.listen));
  yaml += fmt::format("state_dir: {}\n",
                      Quoted(flags.data_dir.empty() ? kDevState : directory + "/agent"));
  yaml += fmt::format("socket: {}\n", Quoted(directory + "/agent.sock"));
  return yaml;
}

std::vector<std::string> ControllerArguments(const std::string& program, const DevFlags& flags,
                                             const std::string& directory) {
  return {program,
          "--id",
          "1",
          "--data-dir",
          directory + "/controller",
          "--api-listen",
          flags.listen,
          "--peer-listen",
          flags.peer_listen};
}

std::vector<std::string> AgentArguments(const std::string& program, const std::string& directory) {
  return {program, "--config", directory + "/agent.yaml", "run"};
}

std::string TargetText(const DevFlags& flags) {
  std::string text = InterfaceOf(flags);
  if (!flags.netns.empty()) text += " in namespace " + flags.netns;
  if (flags.ports.empty()) return text + ", every port";
  return text + fmt::format(", port{} {}", flags.ports.size() == 1 ? "" : "s",
                            fmt::join(flags.ports, ", "));
}

std::string SelectorText(const DevFlags& flags) {
  return fmt::format("{}", fmt::join(LabelsOf(flags), ","));
}

}  // namespace faultline::cli
