#include "server/config.h"

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "base/yaml.h"
#include "rpc/endpoint.h"

namespace faultline::server {
namespace {

constexpr std::string_view kMemberForm =
    "id=host:port, such as 1=127.0.0.1:7401, several separated by commas";
constexpr std::string_view kLoopbackRule =
    "without TLS only a loopback address such as 127.0.0.1:7400; set tls for any other";

bool IsHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), port);
  return error == std::errc() && end == digits.end() && port > 0 && port <= 65'535;
}

StatusOr<raft::Member> ParseMember(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  const size_t equals = text.find('=');
  raft::Member member;
  if (equals != std::string_view::npos) {
    const std::string_view id = text.substr(0, equals);
    const auto [end, error] = std::from_chars(id.begin(), id.end(), member.id);
    member.address = text.substr(equals + 1);
    if (error == std::errc() && end == id.end() && member.id > 0 && IsHostPort(member.address)) {
      return member;
    }
  }
  return FieldError("members", text, kMemberForm);
}

Status ReadTls(const YamlMap& yaml, rpc::TlsFiles* tls) {
  FL_ASSIGN_OR_RETURN(const YamlMap files, yaml.Map("tls"));
  FL_RETURN_IF_ERROR(files.AllowOnly({"ca_file", "cert_file", "key_file"}));
  FL_ASSIGN_OR_RETURN(tls->ca_file, files.Text("ca_file"));
  FL_ASSIGN_OR_RETURN(tls->cert_file, files.Text("cert_file"));
  FL_ASSIGN_OR_RETURN(tls->key_file, files.Text("key_file"));
  return absl::OkStatus();
}

// `fallback` is in the range.
StatusOr<std::chrono::milliseconds> ReadDuration(const YamlMap& yaml, const std::string& key,
                                                 std::chrono::milliseconds fallback,
                                                 const TimeRange& range) {
  const auto fallback_ns = static_cast<uint64_t>(std::chrono::nanoseconds(fallback).count());
  const auto value_ns = yaml.DurationNs(key, fallback_ns);
  if (value_ns.ok()) {
    const std::chrono::milliseconds value(*value_ns / kNanosPerMilli);
    if (range.Has(value)) return value;
  }
  const auto given = yaml.Text(key);
  if (!given.ok()) return value_ns.status();  // no text at all
  return yaml.Refuse(key, *given, fmt::format("{}, such as 10s", range.Text()));
}

// Without TLS nodes reach each other on one machine only.
Status CheckLoopback(const Config& config) {
  if (config.tls.enabled()) return absl::OkStatus();
  for (const auto& member : config.members) {
    if (rpc::RequireLoopback(member.address).ok()) continue;
    return FieldError("members", fmt::format("{}={}", member.id, member.address), kLoopbackRule);
  }
  for (const std::string& address : config.join) {
    if (!rpc::RequireLoopback(address).ok()) return FieldError("join", address, kLoopbackRule);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<raft::Member>> ParseMembers(const std::string& text) {
  std::vector<raft::Member> members;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t comma = rest.find(',');
    FL_ASSIGN_OR_RETURN(raft::Member member, ParseMember(rest.substr(0, comma)));
    members.push_back(std::move(member));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
    if (rest.empty()) return FieldError("members", text, kMemberForm);
  }
  return members;
}

StatusOr<std::vector<std::string>> ParseJoin(const std::string& text) {
  std::vector<std::string> addresses;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t comma = rest.find(',');
    const std::string_view address = rest.substr(0, comma);
    if (!IsHostPort(address)) {
      return FieldError("join", text,
                        "host:port of a member's peer listener, several separated by "
                        "commas");
    }
    addresses.emplace_back(address);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  return addresses;
}

StatusOr<Config> ReadConfig(const std::string& path) {
  FL_ASSIGN_OR_RETURN(const YamlMap yaml, YamlMap::ReadFile(path));
  FL_RETURN_IF_ERROR(yaml.AllowOnly({"id", "data_dir", "api_listen", "peer_listen", "members",
                                     "http_listen", "join", "tls", "peer_name", "lease", "baseline",
                                     "log_level", "log_format", "webhooks"}));
  Config config;
  FL_ASSIGN_OR_RETURN(const int64_t id, yaml.Integer("id", 1, 1, INT64_MAX));
  config.node_id = static_cast<uint64_t>(id);
  FL_ASSIGN_OR_RETURN(config.data_dir, yaml.Text("data_dir", config.data_dir));
  FL_ASSIGN_OR_RETURN(config.api_listen, yaml.Text("api_listen", config.api_listen));
  FL_ASSIGN_OR_RETURN(config.peer_listen, yaml.Text("peer_listen", config.peer_listen));
  FL_ASSIGN_OR_RETURN(const auto members, yaml.TextList("members"));
  for (const std::string& member : members) {
    const auto parsed = ParseMembers(member);
    if (!parsed.ok()) return yaml.Refuse("members", member, std::string(kMemberForm));
    config.members.insert(config.members.end(), parsed->begin(), parsed->end());
  }
  FL_ASSIGN_OR_RETURN(const auto join, yaml.TextList("join"));
  for (const std::string& addresses : join) {
    FL_ASSIGN_OR_RETURN(auto parsed, ParseJoin(addresses));
    config.join.insert(config.join.end(), parsed.begin(), parsed.end());
  }
  FL_RETURN_IF_ERROR(ReadTls(yaml, &config.tls));
  FL_ASSIGN_OR_RETURN(config.peer_name, yaml.Text("peer_name"));
  FL_ASSIGN_OR_RETURN(config.lease, ReadDuration(yaml, "lease", config.lease, kLeaseRange));
  FL_ASSIGN_OR_RETURN(config.baseline,
                      ReadDuration(yaml, "baseline", config.baseline, kBaselineRange));
  FL_ASSIGN_OR_RETURN(config.log_level, yaml.Text("log_level", config.log_level));
  FL_ASSIGN_OR_RETURN(config.log_format, yaml.Text("log_format", config.log_format));
  FL_ASSIGN_OR_RETURN(config.webhooks, ReadWebhooks(yaml));
  if (yaml.Has("http_listen")) {
    FL_ASSIGN_OR_RETURN(config.http_listen, yaml.Text("http_listen"));
  }
  return config;
}

Status CheckMembers(uint64_t node_id, const std::vector<raft::Member>& members) {
  if (members.size() > kMaxMembers) {
    return FieldError("members", fmt::format("{} members", members.size()),
                      fmt::format("at most {}", kMaxMembers));
  }
  bool own = false;
  for (const auto& member : members) {
    own |= member.id == node_id;
    const auto same = [&](const raft::Member& other) { return other.id == member.id; };
    if (std::count_if(members.begin(), members.end(), same) > 1) {
      return FieldError("members", fmt::format("{}", member.id), "each id once");
    }
    const auto there = [&](const raft::Member& other) { return other.address == member.address; };
    if (std::count_if(members.begin(), members.end(), there) > 1) {
      return FieldError("members", member.address, "each address once");
    }
  }
  if (!own) {
    return FieldError("id", fmt::format("{}", node_id), "the id of one of the members");
  }
  return absl::OkStatus();
}

Status Complete(Config* config) {
  for (const auto& [field, address] : {std::pair("api_listen", &config->api_listen),
                                       std::pair("peer_listen", &config->peer_listen)}) {
    if (!IsHostPort(*address)) return FieldError(field, *address, "host:port");
    // Before anything is made: the first start writes the members down.
    if (!config->tls.enabled() && !rpc::RequireLoopback(*address).ok()) {
      return FieldError(field, *address, kLoopbackRule);
    }
  }
  if (config->data_dir.empty()) return FieldError("data_dir", "", "a directory");
  if (!config->peer_name.empty() && !config->tls.enabled()) {
    return FieldError("peer_name", config->peer_name, "none without tls: it is a certificate's");
  }
  if (!kLeaseRange.Has(config->lease)) {
    return FieldError("lease", fmt::format("{}ms", config->lease.count()), kLeaseRange.Text());
  }
  if (!kBaselineRange.Has(config->baseline)) {
    return FieldError("baseline", fmt::format("{}ms", config->baseline.count()),
                      kBaselineRange.Text());
  }
  if (!config->join.empty()) {
    if (config->members.empty()) return CheckLoopback(*config);
    return FieldError("join", config->join.front(), "members or join, and not both");
  }
  if (config->members.empty()) config->members = {{config->node_id, config->peer_listen}};
  FL_RETURN_IF_ERROR(CheckMembers(config->node_id, config->members));
  return CheckLoopback(*config);
}

}  // namespace faultline::server
