#include "faults/undo.h"

#include "bpf/attach.h"
#include "bpf/sysctl.h"
#include "bpf/tc_filter.h"
#include "bpf/veth.h"

namespace faultline::faults {

Status Undo(const std::string& kind, const std::vector<std::string>& arguments) {
  if (kind == bpf::kUndoTcFilter) {
    FL_ASSIGN_OR_RETURN(const auto place, bpf::TcFilterPlace::FromArguments(arguments));
    return bpf::RemoveTcFilter(place);
  }
  if (kind == bpf::kUndoClsact) {
    FL_ASSIGN_OR_RETURN(const auto place, bpf::ClsactPlace::FromArguments(arguments));
    return bpf::RemoveClsactIfEmpty(place, /*ours_may_stay=*/false);
  }
  if (kind == bpf::kUndoSysctl) {
    FL_ASSIGN_OR_RETURN(const auto change, bpf::SysctlChange::FromArguments(arguments));
    return bpf::RestoreSysctl(change);
  }
  if (kind == bpf::kUndoVeth) {
    FL_ASSIGN_OR_RETURN(const auto place, bpf::VethPlace::FromArguments(arguments));
    return bpf::RemoveVethPair(place);
  }
  return MakeError(StatusCode::kInvalidArgument, "unknown undo kind '{}'", kind);
}

}  // namespace faultline::faults
