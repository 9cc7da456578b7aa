#include "faults/network/partition.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bpf/fd.h"
#include "bpf/netns.h"
#include "faults/network/filter_plan.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

Status ReadAddresses(const std::string& interface, std::vector<Cidr>* addresses) {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) {
    return MakeError(StatusCode::kInternal, "reading addresses failed: {}", ErrnoText(errno));
  }
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || interface != entry->ifa_name) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      Cidr& address = addresses->emplace_back(Cidr{.prefix_bits = 32});
      std::memcpy(address.address.data(),
                  &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr, 4);
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      Cidr& address = addresses->emplace_back(Cidr{.ipv6 = true, .prefix_bits = 128});
      std::memcpy(address.address.data(),
                  &reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr, 16);
    }
  }
  freeifaddrs(first);
  return absl::OkStatus();
}

StatusOr<std::vector<Cidr>> AddressesOf(const chaos::v1::Target& target) {
  std::vector<Cidr> addresses;
  for (const std::string& text : target.addresses()) {
    FL_ASSIGN_OR_RETURN(const Cidr address, ParseCidr(text));
    addresses.push_back(address);
  }
  if (!addresses.empty()) return addresses;
  if (target.at_host_end() && target.netns().empty()) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "target {} is named by the host's end of its link, which does not tell its "
                     "addresses: a partition needs its 'addresses' or 'netns'",
                     target.target_id());
  }
  FL_ASSIGN_OR_RETURN(const bpf::UniqueFd netns, bpf::OpenNetns(target.netns()));
  FL_RETURN_IF_ERROR(
      bpf::InNetns(netns, [&] { return ReadAddresses(target.interface(), &addresses); }));
  return addresses;
}

// Those of the addresses that the group has.
std::vector<Cidr> Inside(const std::vector<Cidr>& group, const std::vector<Cidr>& addresses) {
  std::vector<Cidr> inside;
  std::ranges::copy_if(addresses, std::back_inserter(inside), [&](const Cidr& address) {
    return std::ranges::any_of(group, [&](const Cidr& net) { return Covers(net, address); });
  });
  return inside;
}

}  // namespace

Status NarrowToPartition(const pb::NetworkPartition& partition, const chaos::v1::Target& target,
                         Filter* filter) {
  FL_ASSIGN_OR_RETURN(const auto groups, ParseGroups(partition.groups()));
  FL_ASSIGN_OR_RETURN(const auto addresses, AddressesOf(target));
  std::vector<size_t> mine;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (!Inside(groups[i], addresses).empty()) mine.push_back(i);
  }
  if (mine.size() != 1) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "target {} has addresses in {} of the groups, not in one", target.target_id(),
                     mine.size());
  }
  pb::TrafficFilter traffic = FilterOf(partition);
  traffic.set_whole_host(true);  // the groups are a filter
  const bool forward = partition.ways() == pb::PARTITION_WAYS_FORWARD;
  const bool sends = mine[0] == 0;
  traffic.set_direction(!forward ? pb::DIRECTION_BOTH
                        : sends  ? pb::DIRECTION_EGRESS
                                 : pb::DIRECTION_INGRESS);
  FL_RETURN_IF_ERROR(NarrowToFilter(traffic, target, filter));
  filter->prefixes[FL_LOCAL] = Inside(groups[mine[0]], addresses);
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i == mine[0]) continue;
    auto& peers = filter->prefixes[FL_PEER];
    peers.insert(peers.end(), groups[i].begin(), groups[i].end());
  }
  if (traffic.include_protected()) return absl::OkStatus();
  return CheckPeers(*filter, target, "groups",
                    fmt::format("{}", fmt::join(partition.groups(), ",")));
}

}  // namespace faultline::network
