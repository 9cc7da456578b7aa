#include "bpf/tc_filter.h"

#include <bpf/libbpf.h>

#include <cerrno>

#include "bpf/netlink.h"
#include "bpf/undo_words.h"

namespace faultline::bpf {
namespace {

constexpr char kOurPrograms[] = "fl_";

// No such filter, no qdisc that could hold it, no such interface.
bool IsGone(int error) { return error == ENOENT || error == EINVAL || error == ENODEV; }

// By the interface's number: its name may have been changed.
Status DetachIfOurs(const TcFilterPlace& place) {
  FL_ASSIGN_OR_RETURN(const bool ours, HasTcFilter(place));
  if (!ours) return absl::OkStatus();
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex,
              .attach_point = place.egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, detach, .handle = place.handle, .priority = place.priority);
  const int error = -bpf_tc_detach(&hook, &detach);
  if (error == 0 || IsGone(error)) return absl::OkStatus();
  return MakeError(StatusCode::kInternal, "removing our filter from {} failed: {}", place.interface,
                   ErrnoText(error));
}

}  // namespace

std::vector<std::string> TcFilterPlace::ToArguments() const {
  return {netns,
          std::to_string(netns_id.device),
          std::to_string(netns_id.inode),
          interface,
          std::to_string(ifindex),
          egress ? "egress" : "ingress",
          std::to_string(priority),
          std::to_string(handle),
          std::to_string(program_id)};
}

StatusOr<TcFilterPlace> TcFilterPlace::FromArguments(const std::vector<std::string>& arguments) {
  TcFilterPlace place;
  if (arguments.size() != 9 || !ParseWord(arguments[1], &place.netns_id.device) ||
      !ParseWord(arguments[2], &place.netns_id.inode) || !ParseWord(arguments[4], &place.ifindex) ||
      (arguments[5] != "egress" && arguments[5] != "ingress") ||
      !ParseWord(arguments[6], &place.priority) || !ParseWord(arguments[7], &place.handle) ||
      !ParseWord(arguments[8], &place.program_id)) {
    return DamagedWords();
  }
  place.netns = arguments[0];
  place.interface = arguments[3];
  place.egress = arguments[5] == "egress";
  return place;
}

std::vector<std::string> ClsactPlace::ToArguments() const {
  return {netns, std::to_string(netns_id.device), std::to_string(netns_id.inode), interface,
          std::to_string(ifindex)};
}

StatusOr<ClsactPlace> ClsactPlace::FromArguments(const std::vector<std::string>& arguments) {
  ClsactPlace place;
  if (arguments.size() != 5 || !ParseWord(arguments[1], &place.netns_id.device) ||
      !ParseWord(arguments[2], &place.netns_id.inode) || !ParseWord(arguments[4], &place.ifindex)) {
    return DamagedWords();
  }
  place.netns = arguments[0];
  place.interface = arguments[3];
  return place;
}

StatusOr<bool> HasTcFilter(const TcFilterPlace& place) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex,
              .attach_point = place.egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, query, .handle = place.handle, .priority = place.priority);
  const int error = -bpf_tc_query(&hook, &query);
  if (error == 0) return query.prog_id == place.program_id;
  if (IsGone(error)) return false;
  return MakeError(StatusCode::kInternal, "whether our filter is on {} cannot be asked: {}",
                   place.interface, ErrnoText(error));
}

StatusOr<std::string> FilterAhead(const TcFilterPlace& ours) {
  FL_ASSIGN_OR_RETURN(const auto filters, ListTcFilters(ours.ifindex, ours.egress));
  for (const TcFilter& filter : filters) {
    if (filter.chain != 0) continue;
    if (filter.priority == ours.priority && filter.handle == ours.handle) break;
    if (filter.program.starts_with(kOurPrograms)) continue;
    return fmt::format("{} filter {}{}of priority {}", filter.kind, filter.program,
                       filter.program.empty() ? "" : " ", filter.priority);
  }
  return std::string();
}

Status RemoveTcFilter(const TcFilterPlace& place) {
  return InNetnsIfThere(place.netns, place.netns_id, [&] { return DetachIfOurs(place); });
}

Status RemoveClsactIfEmpty(const ClsactPlace& place, bool ours_may_stay) {
  return InNetnsIfThere(place.netns, place.netns_id, [&]() -> Status {
    for (const bool egress : {false, true}) {
      FL_ASSIGN_OR_RETURN(const auto filters, ListTcFilters(place.ifindex, egress));
      for (const TcFilter& filter : filters) {
        if (ours_may_stay || !filter.program.starts_with(kOurPrograms)) continue;
        return MakeError(StatusCode::kFailedPrecondition,
                         "clsact stays on {} as long as {} is on it", place.interface,
                         filter.program);
      }
      if (!filters.empty()) return absl::OkStatus();
    }
    return DeleteClsact(place.ifindex);
  });
}

}  // namespace faultline::bpf
