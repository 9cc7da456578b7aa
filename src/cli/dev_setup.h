// What `faultline dev` runs: programs, arguments and the agent's configuration. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace faultline::cli {

// The agent's state when no directory is named: what it must undo outlives a temporary one, until
// the next `faultline dev` or the next boot.
inline constexpr char kDevState[] = "/run/faultline-dev";

struct DevFlags {
  std::string listen = "127.0.0.1:7400";
  std::string peer_listen = "127.0.0.1:7401";
  std::string data_dir;  // empty: a temporary one, removed at the end
  // Targets from a file, or one target from the flags below it.
  std::string config_path;
  std::string name = "local";
  std::string interface;  // empty: lo
  std::string netns;
  std::vector<int> ports;
  std::vector<std::string> labels;  // "key:value"; none: name:<name>
  bool verbose = false;
};

// Flags that contradict each other, or labels that are none. Errors name the flag.
Status CheckDevFlags(const DevFlags& flags);

// The agent's configuration: the `targets:` of `targets_yaml` as they stand (so that line numbers
// in errors are those of the user's file), or the target of the flags when that is empty; then the
// rest.
std::string AgentConfig(const DevFlags& flags, const std::string& directory,
                        const std::string& targets_yaml);

std::vector<std::string> ControllerArguments(const std::string& program, const DevFlags& flags,
                                             const std::string& directory);
std::vector<std::string> AgentArguments(const std::string& program, const std::string& directory);

// The flags' target for people: "lo, ports 8080, 8081".
std::string TargetText(const DevFlags& flags);
// A selector of the flags' target: "service:checkout".
std::string SelectorText(const DevFlags& flags);

}  // namespace faultline::cli
