#include "faults/network/hook_place.h"

#include "bpf/netlink.h"
#include "faults/network/gateway.h"

namespace faultline::network {
namespace {

constexpr char kOwnNames[] = "fl-";  // of devices that are ours
constexpr char kTapKind[] = "tun";

// That interface of the calling thread's namespace.
StatusOr<bpf::Interface> FindNamed(const std::string& netns, const std::string& interface) {
  auto found = bpf::FindInterface(interface);
  if (found.status().code() != StatusCode::kNotFound) return found;
  auto names = bpf::InterfaceNames();
  std::erase_if(names, [](const std::string& name) { return name.starts_with(kOwnNames); });
  return MakeError(StatusCode::kNotFound,
                   "interface '{}': there is none of that name in {}, which has {}", interface,
                   NetnsText(netns), fmt::join(names, ", "));
}

// The host's end of the link whose other end has that number in that namespace.
StatusOr<HookPlace> FindHostEnd(const TargetPlace& target, const bpf::UniqueFd& netns_fd,
                                int inside, const bpf::Link& link) {
  const auto no_host_end = [&] {
    return MakeError(StatusCode::kFailedPrecondition,
                     "interface '{}' in {} is no veth device whose other end is in the agent's own "
                     "network namespace: attach: inside",
                     target.interface, NetnsText(target.netns));
  };
  if (link.kind != "veth" || link.peer_ifindex == 0) return no_host_end();
  const auto host = bpf::ReadLink(link.peer_ifindex);
  // Interfaces of different namespaces may have the same number.
  const auto number = bpf::NetnsNumber(netns_fd);
  if (!host.ok() || !number.ok() || *number < 0 || host->kind != "veth" ||
      host->peer_ifindex != inside || host->peer_netns != *number) {
    return no_host_end();
  }
  HookPlace place;
  FL_ASSIGN_OR_RETURN(const bpf::UniqueFd own, bpf::OpenNetns(""));
  FL_ASSIGN_OR_RETURN(place.netns_id, bpf::IdOf(own));
  FL_ASSIGN_OR_RETURN(place.interface, FindNamed("", host->name));
  place.name = host->name;
  return place;
}

}  // namespace

std::string NetnsText(const std::string& netns) {
  return netns.empty() ? "the agent's own network namespace" : fmt::format("netns '{}'", netns);
}

StatusOr<HookPlace> FindPlace(const TargetPlace& target) {
  HookPlace place;
  place.netns = target.netns;
  place.name = target.interface;
  FL_ASSIGN_OR_RETURN(const bpf::UniqueFd netns_fd, bpf::OpenNetns(target.netns));
  FL_ASSIGN_OR_RETURN(place.netns_id, bpf::IdOf(netns_fd));
  bpf::Link link;
  FL_RETURN_IF_ERROR(bpf::InNetns(netns_fd, [&]() -> Status {
    FL_ASSIGN_OR_RETURN(place.interface, FindNamed(target.netns, target.interface));
    if (!target.at_host_end) return absl::OkStatus();
    FL_ASSIGN_OR_RETURN(link, bpf::ReadLink(place.interface.index));
    return absl::OkStatus();
  }));
  if (!target.at_host_end) return place;
  if (!target.netns.empty()) return FindHostEnd(target, netns_fd, place.interface.index, link);
  // Behind an interface of the host's own is all the world.
  const Gateways gateways = ReadGateways(target.interface);
  if ((link.kind == "veth" || link.kind == kTapKind) && gateways == Gateways()) return place;
  return MakeError(StatusCode::kFailedPrecondition,
                   "interface '{}' is no host's end of a target's link, which are veth and TAP "
                   "devices without a default route: attach: inside",
                   target.interface);
}

}  // namespace faultline::network
