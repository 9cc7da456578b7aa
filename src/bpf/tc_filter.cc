#include "bpf/tc_filter.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <charconv>

#include "bpf/netlink.h"
#include "bpf/netns.h"

namespace faultline::bpf {
namespace {

Status BadArguments() {
  return MakeError(StatusCode::kInvalidArgument, "arguments of an undo record are damaged");
}

template <typename T>
bool ParseNumber(const std::string& text, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

// Runs `work` in the namespace if it is still there. What it looks for it finds by the interface's
// number: the name may have been changed.
Status IfStillThere(const std::string& netns, const std::function<Status()>& work) {
  const auto netns_fd = OpenNetns(netns);
  if (netns_fd.status().code() == StatusCode::kNotFound) return absl::OkStatus();
  FL_RETURN_IF_ERROR(netns_fd.status());
  return InNetns(*netns_fd, work);
}

Status DetachIfOurs(const TcFilterPlace& place) {
  if (!HasTcFilter(place)) return absl::OkStatus();
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex,
              .attach_point = place.egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, detach, .handle = place.handle, .priority = place.priority);
  const int error = -bpf_tc_detach(&hook, &detach);
  if (error == 0 || error == ENOENT || error == EINVAL) return absl::OkStatus();
  return MakeError(StatusCode::kInternal, "removing our filter from {} failed: {}", place.interface,
                   ErrnoText(error));
}

}  // namespace

std::vector<std::string> TcFilterPlace::ToArguments() const {
  return {netns,
          interface,
          std::to_string(ifindex),
          egress ? "egress" : "ingress",
          std::to_string(priority),
          std::to_string(handle),
          std::to_string(program_id)};
}

StatusOr<TcFilterPlace> TcFilterPlace::FromArguments(const std::vector<std::string>& arguments) {
  TcFilterPlace place;
  if (arguments.size() != 7 || !ParseNumber(arguments[2], &place.ifindex) ||
      (arguments[3] != "egress" && arguments[3] != "ingress") ||
      !ParseNumber(arguments[4], &place.priority) || !ParseNumber(arguments[5], &place.handle) ||
      !ParseNumber(arguments[6], &place.program_id)) {
    return BadArguments();
  }
  place.netns = arguments[0];
  place.interface = arguments[1];
  place.egress = arguments[3] == "egress";
  return place;
}

std::vector<std::string> ClsactPlace::ToArguments() const {
  return {netns, interface, std::to_string(ifindex)};
}

StatusOr<ClsactPlace> ClsactPlace::FromArguments(const std::vector<std::string>& arguments) {
  ClsactPlace place;
  if (arguments.size() != 3 || !ParseNumber(arguments[2], &place.ifindex)) return BadArguments();
  place.netns = arguments[0];
  place.interface = arguments[1];
  return place;
}

bool HasTcFilter(const TcFilterPlace& place) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex,
              .attach_point = place.egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, query, .handle = place.handle, .priority = place.priority);
  return bpf_tc_query(&hook, &query) == 0 && query.prog_id == place.program_id;
}

Status RemoveTcFilter(const TcFilterPlace& place) {
  return IfStillThere(place.netns, [&] { return DetachIfOurs(place); });
}

Status RemoveClsactIfEmpty(const ClsactPlace& place) {
  return IfStillThere(place.netns, [&]() -> Status {
    for (const bool egress : {false, true}) {
      FL_ASSIGN_OR_RETURN(const auto filters, ListTcFilters(place.ifindex, egress));
      if (!filters.empty()) return absl::OkStatus();
    }
    return DeleteClsact(place.ifindex);
  });
}

}  // namespace faultline::bpf
