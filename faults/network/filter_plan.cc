#include "faults/network/filter_plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "network/v1/parameters.pb.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

constexpr unsigned kMaxCgroupLevel = 15;
// Where cgroup v2 is mounted: alone, or beside v1.
constexpr const char* kCgroupRoots[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};

StatusOr<Filter::Cgroup> FindCgroup(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path inside = fs::path("/" + path).lexically_normal().relative_path();
  for (const char* root : kCgroupRoots) {
    struct stat facts{};
    const fs::path whole = fs::path(root) / inside;
    if (!fs::exists(fs::path(root) / "cgroup.controllers") || stat(whole.c_str(), &facts) != 0) {
      continue;
    }
    const auto level = static_cast<unsigned>(
        std::count_if(inside.begin(), inside.end(), [](const fs::path& p) { return !p.empty(); }));
    if (level > kMaxCgroupLevel) {
      return MakeError(StatusCode::kFailedPrecondition, "cgroup {} is nested deeper than {}", path,
                       kMaxCgroupLevel);
    }
    return Filter::Cgroup{facts.st_ino, level};
  }
  return MakeError(StatusCode::kFailedPrecondition, "there is no cgroup (v2) '{}'", path);
}

std::set<uint16_t> ToPorts(const google::protobuf::RepeatedField<uint32_t>& ports) {
  return {ports.begin(), ports.end()};
}

Status AddPrefixes(const google::protobuf::RepeatedPtrField<std::string>& texts,
                   std::vector<Cidr>* prefixes) {
  for (const std::string& text : texts) {
    FL_ASSIGN_OR_RETURN(const Cidr cidr, ParseCidr(text));
    prefixes->push_back(cidr);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<Filter> TargetFilter(const chaos::v1::Target& target) {
  Filter filter;
  filter.egress = filter.ingress = true;
  if (target.ports_size() > 0) filter.ports[FL_LOCAL] = ToPorts(target.ports());
  const Status status = AddPrefixes(target.addresses(), &filter.prefixes[FL_LOCAL]);
  if (!status.ok()) {
    return MakeError(StatusCode::kFailedPrecondition, "target {}: {}", target.target_id(),
                     ToString(status.message()));
  }
  if (!target.cgroup().empty()) {
    FL_ASSIGN_OR_RETURN(filter.cgroup, FindCgroup(target.cgroup()));
  }
  return filter;
}

Status NarrowToFilter(const pb::TrafficFilter& wanted, const chaos::v1::Target& target,
                      Filter* filter) {
  filter->egress = wanted.direction() != pb::DIRECTION_INGRESS;
  filter->ingress =
      wanted.direction() == pb::DIRECTION_INGRESS || wanted.direction() == pb::DIRECTION_BOTH;
  if (filter->cgroup && filter->ingress) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "target {} is a cgroup, whose packets can be told apart on egress only",
                     target.target_id());
  }
  if (wanted.protocol() == pb::PROTOCOL_TCP) filter->protocols = {FL_PROTO_TCP};
  if (wanted.protocol() == pb::PROTOCOL_UDP) filter->protocols = {FL_PROTO_UDP};
  if (wanted.protocol() == pb::PROTOCOL_ICMP) filter->protocols = {FL_PROTO_ICMP};
  if (wanted.peer_port_size() > 0) filter->ports[FL_PEER] = ToPorts(wanted.peer_port());
  for (const uint16_t port : ToPorts(wanted.local_port())) {
    if (filter->ports[FL_LOCAL] && !filter->ports[FL_LOCAL]->contains(port)) {
      return MakeError(StatusCode::kFailedPrecondition,
                       "local_port {} is not one of the ports of target {}", port,
                       target.target_id());
    }
  }
  if (wanted.local_port_size() > 0) filter->ports[FL_LOCAL] = ToPorts(wanted.local_port());
  return AddPrefixes(wanted.peer_cidr(), &filter->prefixes[FL_PEER]);
}

}  // namespace faultline::network
