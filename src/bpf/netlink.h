// The little of rtnetlink that Faultline needs: traffic control on an interface, and pairs of veth
// devices, of the calling thread's network namespace.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/fd.h"

namespace faultline::bpf {

struct TcFilter {
  uint32_t priority = 0;
  uint32_t handle = 0;
  uint32_t chain = 0;   // the kernel begins in 0; only a filter leads to another
  std::string kind;     // "bpf", "flower"
  std::string program;  // its name, of a BPF filter; else empty
};

// Filters of the interface's clsact qdisc in that direction, those of one chain in the order in
// which the kernel asks them; none when there is no such qdisc.
StatusOr<std::vector<TcFilter>> ListTcFilters(int ifindex, bool egress);

// Whether the interface has a clsact qdisc (or ingress, which sits in the same place).
StatusOr<bool> HasClsact(int ifindex);
Status DeleteClsact(int ifindex);

// Makes `kind` the interface's root qdisc. NOT_FOUND when the kernel has no such qdisc.
Status ReplaceRootQdisc(int ifindex, const std::string& kind);
// Makes fq the interface's root qdisc, without pacing by sockets, for so many packets altogether or
// of one flow; packets without a socket are of one flow if their hashes are the same.
Status ReplaceRootByFq(int ifindex, uint32_t packets);

struct VethNames {
  std::string first;
  std::string second;
  std::array<uint8_t, 6> address{};  // Ethernet address of the first
};
// ALREADY_EXISTS when an interface has one of the names, FAILED_PRECONDITION when the kernel has no
// such devices.
Status MakeVethPair(const VethNames& names, uint32_t mtu);
// An interface, and the one at the other end of its link.
struct Link {
  std::string name;
  std::string kind;      // "veth"; empty for hardware
  int peer_ifindex = 0;  // 0: none
  // The number by which the calling namespace knows the peer's (NetnsNumber); -1: its own.
  int peer_netns = -1;
};
// NOT_FOUND when there is no such interface.
StatusOr<Link> ReadLink(int ifindex);
// The calling namespace's number for another; -1: it has none, so no link leads there.
StatusOr<int> NetnsNumber(const UniqueFd& netns_fd);

// OK when there is none. A veth device's peer goes as well.
Status DeleteLink(int ifindex);

}  // namespace faultline::bpf
