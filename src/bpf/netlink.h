// The little of rtnetlink that Faultline needs: traffic control on an interface of the calling
// thread's network namespace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace faultline::bpf {

struct TcFilter {
  uint32_t priority = 0;
  uint32_t handle = 0;
};

// Filters of the interface's clsact qdisc in that direction; none when there is no such qdisc.
StatusOr<std::vector<TcFilter>> ListTcFilters(int ifindex, bool egress);

// Whether the interface has a clsact qdisc (or ingress, which sits in the same place).
StatusOr<bool> HasClsact(int ifindex);
Status DeleteClsact(int ifindex);

// Makes `kind` the interface's root qdisc. NOT_FOUND when the kernel has no such qdisc.
Status ReplaceRootQdisc(int ifindex, const std::string& kind);

}  // namespace faultline::bpf
