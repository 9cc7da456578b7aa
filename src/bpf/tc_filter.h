// Our own filter on an interface's clsact qdisc, by words that survive the process that attached
// it: what the undo journal holds. All in the network namespace they name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/netns.h"

namespace faultline::bpf {

struct TcFilterPlace {
  std::string netns;  // as in bpf/netns_name.h
  NetnsId netns_id;   // another namespace that has taken the name is not ours
  std::string interface;
  int ifindex = 0;
  bool egress = false;
  uint32_t priority = 0;
  uint32_t handle = 0;
  uint32_t program_id = 0;  // of the program in it: a filter with another program is not ours

  std::vector<std::string> ToArguments() const;
  // INVALID_ARGUMENT when they are not what ToArguments made.
  static StatusOr<TcFilterPlace> FromArguments(const std::vector<std::string>& arguments);
};

// Whether the filter is there and holds our program, in the calling thread's namespace. INTERNAL
// when the kernel does not say.
StatusOr<bool> HasTcFilter(const TcFilterPlace& place);

// Somebody else's filter that the kernel asks before ours, in words ("flower filter of priority
// 1"); empty when there is none. Whether it lets the kernel go on to ours nobody can tell. In the
// calling thread's namespace; errors as ListTcFilters.
StatusOr<std::string> FilterAhead(const TcFilterPlace& ours);

// Removes the filter if it is still there and still holds our program. OK when the namespace, the
// interface or the filter is gone, or another's filter has its place.
Status RemoveTcFilter(const TcFilterPlace& place);

// A clsact qdisc that Faultline made.
struct ClsactPlace {
  std::string netns;
  NetnsId netns_id;
  std::string interface;
  int ifindex = 0;

  std::vector<std::string> ToArguments() const;
  static StatusOr<ClsactPlace> FromArguments(const std::vector<std::string>& arguments);
};

// Removes the qdisc unless somebody's filter is on it. OK when it is gone. FAILED_PRECONDITION
// while one of Faultline's is on it, if `ours_may_stay` is false.
Status RemoveClsactIfEmpty(const ClsactPlace& place, bool ours_may_stay);

}  // namespace faultline::bpf
