#include "agent/config.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/clock.h"
#include "base/yaml.h"
#include "bpf/netns_name.h"
#include "faults/driver.h"
#include "rpc/endpoint.h"

namespace faultline::agent {
namespace {

constexpr const char* kNameRule = "1 to 63 letters, digits, '.', '_' or '-'";

bool IsName(const std::string& text) {
  return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

std::optional<unsigned> ParseNumber(const std::string& text, unsigned min, unsigned max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    return std::nullopt;
  }
  return value;
}

bool IsAddress(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string host = text.substr(0, slash);
  unsigned char buffer[16];
  unsigned bits = 0;
  if (inet_pton(AF_INET, host.c_str(), buffer) == 1) {
    bits = 32;
  } else if (inet_pton(AF_INET6, host.c_str(), buffer) == 1) {
    bits = 128;
  } else {
    return false;
  }
  return slash == std::string::npos || ParseNumber(text.substr(slash + 1), 0, bits).has_value();
}

bool IsHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  return colon != std::string::npos && colon > 0 &&
         ParseNumber(text.substr(colon + 1), 1, 65535).has_value();
}

Status ReadLabels(const YamlMap& map, chaos::v1::Target* target) {
  FL_ASSIGN_OR_RETURN(const auto labels, map.TextMap("labels"));
  for (const auto& [key, value] : labels) {
    const bool reserved = key == "target" || key == "agent";
    if (reserved || key.empty() || value.empty() ||
        (key + value).find_first_of(":, \t") != std::string::npos) {
      return map.Refuse("labels", key + ": " + value,
                        "keys and values without ':', ',' or blanks; the keys target and agent "
                        "are taken");
    }
    (*target->mutable_labels())[key] = value;
  }
  return absl::OkStatus();
}

Status ReadPlace(const YamlMap& map, chaos::v1::Target* target) {
  FL_ASSIGN_OR_RETURN(*target->mutable_interface(), map.Text("interface"));
  if (target->interface().empty() || target->interface().size() >= IFNAMSIZ ||
      target->interface().find_first_of("/ \t\n") != std::string::npos) {
    return map.Refuse("interface", target->interface(),
                      "a network interface, 1 to 15 characters without '/' and blanks");
  }
  FL_ASSIGN_OR_RETURN(const std::string netns, map.Text("netns"));
  if (!bpf::IsNetnsName(netns)) return map.Refuse("netns", netns, bpf::kNetnsNames);
  target->set_netns(bpf::PinProcess(netns));
  FL_ASSIGN_OR_RETURN(const std::string end, map.Text("attach", "inside"));
  if (end != "inside" && end != "host") return map.Refuse("attach", end, "inside or host");
  target->set_at_host_end(end == "host");
  FL_ASSIGN_OR_RETURN(*target->mutable_cgroup(), map.Text("cgroup"));
  if (target->cgroup().find("..") != std::string::npos) {
    return map.Refuse("cgroup", target->cgroup(), "a path below the cgroup v2 root");
  }
  if (target->at_host_end() && !target->cgroup().empty()) {
    return map.Refuse("cgroup", target->cgroup(),
                      "none together with 'attach: host': sockets are told apart inside");
  }
  FL_ASSIGN_OR_RETURN(const auto ports, map.TextList("ports"));
  for (const std::string& text : ports) {
    const auto port = ParseNumber(text, 1, 65535);
    if (!port) return map.Refuse("ports", text, "port numbers from 1 to 65535");
    target->add_ports(*port);
  }
  FL_ASSIGN_OR_RETURN(const auto addresses, map.TextList("addresses"));
  for (const std::string& text : addresses) {
    if (!IsAddress(text)) {
      return map.Refuse("addresses", text, "IPv4 or IPv6 addresses, or CIDR such as 10.0.0.0/8");
    }
    target->add_addresses(text);
  }
  return absl::OkStatus();
}

StatusOr<chaos::v1::Target> ReadTarget(const YamlMap& map, const std::string& agent_id) {
  FL_RETURN_IF_ERROR(map.AllowOnly(
      {"name", "labels", "interface", "netns", "attach", "cgroup", "ports", "addresses"}));
  chaos::v1::Target target;
  FL_ASSIGN_OR_RETURN(*target.mutable_name(), map.Text("name"));
  if (!IsName(target.name())) return map.Refuse("name", target.name(), kNameRule);
  target.set_agent_id(agent_id);
  target.set_target_id(agent_id + "/" + target.name());
  FL_RETURN_IF_ERROR(ReadLabels(map, &target));
  FL_RETURN_IF_ERROR(ReadPlace(map, &target));
  return target;
}

Status ReadTargets(const YamlMap& map, Config* config) {
  FL_ASSIGN_OR_RETURN(const auto items, map.MapList("targets"));
  std::set<std::string> names;
  for (const YamlMap& item : items) {
    FL_ASSIGN_OR_RETURN(chaos::v1::Target target, ReadTarget(item, config->agent_id));
    if (!names.insert(target.name()).second) {
      return item.Refuse("name", target.name(), "a name that no other target of the file has");
    }
    config->targets.push_back(std::move(target));
  }
  return absl::OkStatus();
}

Status ReadTls(const YamlMap& map, Config* config) {
  FL_ASSIGN_OR_RETURN(const YamlMap tls, map.Map("tls"));
  FL_RETURN_IF_ERROR(tls.AllowOnly({"ca_file", "cert_file", "key_file"}));
  FL_ASSIGN_OR_RETURN(config->tls_ca_file, tls.Text("ca_file"));
  FL_ASSIGN_OR_RETURN(config->tls_cert_file, tls.Text("cert_file"));
  FL_ASSIGN_OR_RETURN(config->tls_key_file, tls.Text("key_file"));
  return absl::OkStatus();
}

Status ReadControllers(const YamlMap& map, Config* config) {
  FL_ASSIGN_OR_RETURN(auto controllers, map.TextList("controllers"));
  for (const std::string& address : controllers) {
    if (!IsHostPort(address)) {
      return map.Refuse("controllers", address, "host:port, such as 127.0.0.1:7400");
    }
  }
  if (!controllers.empty()) config->controllers = std::move(controllers);
  return absl::OkStatus();
}

Status ReadProtectedPorts(const YamlMap& map, Config* config) {
  FL_ASSIGN_OR_RETURN(const auto ports, map.TextList("protected_ports"));
  for (const std::string& text : ports) {
    const auto port = ParseNumber(text, 1, 65535);
    if (!port) return map.Refuse("protected_ports", text, "TCP port numbers from 1 to 65535");
    config->protected_ports.push_back(static_cast<uint16_t>(*port));
  }
  if (ProtectedPorts(*config).size() <= faults::kMaxOwnPorts) return absl::OkStatus();
  const bool given = !ports.empty();
  return map.Refuse(given ? "protected_ports" : "controllers",
                    fmt::format("{}", fmt::join(given ? ports : config->controllers, ",")),
                    fmt::format("at most {} different ports, with {} and {} and those of "
                                "'controllers': so many can be protected",
                                faults::kMaxOwnPorts, rpc::kApiPort, rpc::kPeerPort));
}

std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

Status ReadTimes(const YamlMap& map, Config* config) {
  const auto heartbeat_ns = map.DurationNs("heartbeat", config->heartbeat_ns, "ms");
  if (!heartbeat_ns.ok() || *heartbeat_ns < 20 * kNanosPerMilli ||
      *heartbeat_ns > 10 * kNanosPerSecond) {
    FL_ASSIGN_OR_RETURN(const std::string given, map.Text("heartbeat"));
    return map.Refuse("heartbeat", given, "20ms to 10s");
  }
  config->heartbeat_ns = *heartbeat_ns;
  FL_ASSIGN_OR_RETURN(const int64_t rate,
                      map.Integer("metrics_rate_hz", config->metrics_rate_hz, 1, 50));
  config->metrics_rate_hz = static_cast<unsigned>(rate);
  return absl::OkStatus();
}

StatusOr<Config> ReadMap(const YamlMap& map) {
  FL_RETURN_IF_ERROR(
      map.AllowOnly({"agent_id", "controllers", "tls", "heartbeat", "state_dir", "socket",
                     "http_listen", "metrics_rate_hz", "lane", "protected_ports", "targets"}));
  Config config;
  FL_ASSIGN_OR_RETURN(config.agent_id, map.Text("agent_id", HostName()));
  if (!IsName(config.agent_id)) return map.Refuse("agent_id", config.agent_id, kNameRule);
  FL_RETURN_IF_ERROR(ReadControllers(map, &config));
  FL_RETURN_IF_ERROR(ReadProtectedPorts(map, &config));
  FL_RETURN_IF_ERROR(ReadTls(map, &config));
  FL_RETURN_IF_ERROR(ReadTimes(map, &config));
  FL_ASSIGN_OR_RETURN(config.state_dir, map.Text("state_dir", config.state_dir));
  FL_ASSIGN_OR_RETURN(config.socket, map.Text("socket", config.socket));
  if (map.Has("http_listen")) {
    FL_ASSIGN_OR_RETURN(config.http_listen, map.Text("http_listen"));
  }
  for (const auto& [key, value] :
       {std::pair{"state_dir", config.state_dir}, std::pair{"socket", config.socket}}) {
    if (value.empty() || value.front() != '/') return map.Refuse(key, value, "an absolute path");
  }
  if (config.socket.size() > 107) {
    return map.Refuse("socket", config.socket, "a path of at most 107 characters");
  }
  FL_ASSIGN_OR_RETURN(config.lane, map.Text("lane", config.lane));
  if (!IsLane(config.lane)) return map.Refuse("lane", config.lane, kLaneRule);
  FL_RETURN_IF_ERROR(ReadTargets(map, &config));
  return config;
}

}  // namespace

bool IsLane(const std::string& text) { return text == "auto" || text == "tap" || text == "fq"; }

std::vector<uint16_t> ProtectedPorts(const Config& config) {
  std::vector<uint16_t> ports = {rpc::kApiPort, rpc::kPeerPort};
  const auto add = [&ports](unsigned port) {
    if (std::ranges::find(ports, port) == ports.end()) ports.push_back(static_cast<uint16_t>(port));
  };
  for (const std::string& address : config.controllers) {
    const auto port = ParseNumber(address.substr(address.rfind(':') + 1), 1, 65535);
    if (port) add(*port);
  }
  for (const uint16_t port : config.protected_ports) add(port);
  return ports;
}

StatusOr<Config> ReadConfig(const std::string& path) {
  FL_ASSIGN_OR_RETURN(const YamlMap map, YamlMap::ReadFile(path));
  return ReadMap(map);
}

StatusOr<Config> ParseConfig(const std::string& text, const std::string& name) {
  FL_ASSIGN_OR_RETURN(const YamlMap map, YamlMap::Parse(text, name));
  return ReadMap(map);
}

}  // namespace faultline::agent
