// What a controller is told at its start: flags, or a small YAML file, or nothing at all (one node
// on loopback).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/baseline.h"
#include "base/status.h"
#include "base/time_range.h"
#include "control/version.h"
#include "raft/node.h"
#include "rpc/endpoint.h"
#include "server/webhook_config.h"

namespace faultline::server {

// At most so many members.
inline constexpr size_t kMaxMembers = 7;

inline constexpr const char* kDefaultHttp = "127.0.0.1:7402";

// What `lease` and `baseline` may be.
inline constexpr TimeRange kLeaseRange{std::chrono::milliseconds(500), std::chrono::seconds(60)};
inline constexpr TimeRange kBaselineRange{std::chrono::seconds(1), std::chrono::seconds(60)};

struct Config {
  uint64_t node_id = 1;
  std::string data_dir = "/var/lib/faultline/controller";
  std::string api_listen = "127.0.0.1:7400";
  std::string peer_listen = "127.0.0.1:7401";
  // /metrics, /healthz and /readyz. Absent: kDefaultHttp, and when somebody has that port, none.
  // "off" or empty: none.
  std::optional<std::string> http_listen;
  std::vector<raft::Member> members;  // Complete() fills in this node when it is empty
  // Instead of members: peer addresses of nodes of the cluster that this node is to belong to.
  std::vector<std::string> join;
  rpc::TlsFiles tls;
  // With TLS: a name that every controller's certificate carries, and no other. Empty: each one's
  // carries the host of its member address.
  std::string peer_name;
  std::chrono::milliseconds lease{10'000};
  // How much of a target's time before a fault is in its report.
  std::chrono::milliseconds baseline = Baseline::kDefaultKept;
  std::string log_level = "info";
  std::string log_format = "text";  // or "json": base/log.h
  std::vector<WebhookConfig> webhooks;
  // The newest version of commands (control/version.h) that this node says it can apply. Lower than
  // the program's own, it holds the whole cluster back: for an upgrade that may still be undone.
  uint32_t max_version = control::kNewestVersion;
};

// Keys: id, data_dir, api_listen, peer_listen, members (list of "1=host:port"), join (list of
// "host:port"), http_listen, tls (ca_file, cert_file, key_file), peer_name, lease, baseline,
// log_level, log_format, webhooks (server/webhook_config.h). Errors name file, line and key.
StatusOr<Config> ReadConfig(const std::string& path);

// "1=127.0.0.1:7401,2=127.0.0.1:8401".
StatusOr<std::vector<raft::Member>> ParseMembers(const std::string& text);

// "a:7401,b:7401".
StatusOr<std::vector<std::string>> ParseJoin(const std::string& text);

// A list of members that has this node, and each id and address once.
Status CheckMembers(uint64_t node_id, const std::vector<raft::Member>& members);

// Checks what one key alone does not show, and fills in the members of a single node.
Status Complete(Config* config);

}  // namespace faultline::server
