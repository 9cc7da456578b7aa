// The agent's configuration file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"

namespace faultline::agent {

inline constexpr const char* kDefaultConfigPath = "/etc/faultline/agent.yaml";
inline constexpr const char* kDefaultHttp = "127.0.0.1:7403";

struct Config {
  std::string agent_id;  // host name unless given
  std::vector<std::string> controllers = {"127.0.0.1:7400"};
  std::string tls_ca_file, tls_cert_file, tls_key_file;
  // How long the kernel goes on with faults after the agent's last sign of life.
  uint64_t heartbeat_ns = 250'000'000;
  // How long an agent that ends waits for its node to take what it reverted. Not in the file.
  uint64_t farewell_ns = 500'000'000;
  std::string state_dir = "/var/lib/faultline/agent";
  std::string socket = "/run/faultline/agent.sock";
  unsigned metrics_rate_hz = 10;
  // Where delayed packets wait: "auto" (in the kernel, where it can and has fq), "tap" or "fq".
  std::string lane = "auto";
  // What faults leave alone beside Faultline's own connections: TCP ports, on either side.
  std::vector<uint16_t> protected_ports;
  // /metrics, /healthz and /readyz. Absent: kDefaultHttp, and when somebody has that port, none.
  // "off" or empty: none.
  std::optional<std::string> http_listen;
  // With target_id and agent_id filled in, and netns pinned (bpf::PinProcess).
  std::vector<chaos::v1::Target> targets;
};

inline constexpr const char* kLaneRule = "auto, tap or fq";
bool IsLane(const std::string& text);

// TCP ports that no fault touches unless it says so: the control plane's, by its default ports and
// as `controllers` has them, and `protected_ports`; each once. Of a file that was read these are at
// most faults::kMaxOwnPorts.
std::vector<uint16_t> ProtectedPorts(const Config& config);

// Reads `path`. Errors name file, line, key, value and what is allowed.
StatusOr<Config> ReadConfig(const std::string& path);
// The same of a text; `name` stands for the file in errors.
StatusOr<Config> ParseConfig(const std::string& text, const std::string& name);

}  // namespace faultline::agent
