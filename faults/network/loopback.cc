#include "faults/network/loopback.h"

namespace faultline::network {
namespace {

constexpr const char* kSettings[] = {"route_localnet", "accept_local"};
constexpr char kOn[] = "1";

}  // namespace

StatusOr<std::unique_ptr<LoopbackRoutes>> LoopbackRoutes::Open(const std::string& netns,
                                                               const std::string& interface,
                                                               faults::UndoLog* undo) {
  std::unique_ptr<LoopbackRoutes> routes(new LoopbackRoutes(undo));
  for (const char* setting : kSettings) {
    const Status set = routes->Set(netns, fmt::format("ipv4/conf/{}/{}", interface, setting));
    if (set.ok()) continue;
    return MakeError(StatusCode::kFailedPrecondition,
                     "delays on {} need a kernel setting, so that IPv4 packets are taken back: {}",
                     interface, ToString(set.message()));
  }
  return routes;
}

Status LoopbackRoutes::Set(const std::string& netns, const std::string& key) {
  Change change;
  FL_ASSIGN_OR_RETURN(change.setting, bpf::PlanSysctl(netns, key, kOn));
  if (change.setting.old_value == kOn) return TakeBack(change.setting);
  if (undo_ != nullptr) {
    FL_ASSIGN_OR_RETURN(change.undo, undo_->Record(bpf::kUndoSysctl, change.setting.ToArguments()));
  }
  // Kept even when this fails: the destructor then takes the record out of the journal.
  changes_.push_back(change);
  return bpf::ApplySysctl(change.setting);
}

Status LoopbackRoutes::TakeBack(const bpf::SysctlChange& wanted) {
  if (undo_ == nullptr) return absl::OkStatus();
  const auto left = undo_->Reclaim(bpf::kUndoSysctl, [&](const auto& arguments) {
    const auto change = bpf::SysctlChange::FromArguments(arguments);
    return change.ok() && change->netns_id == wanted.netns_id && change->key == wanted.key &&
           change->our_value == kOn;
  });
  if (!left) return absl::OkStatus();  // somebody else's
  Change change;
  FL_ASSIGN_OR_RETURN(change.setting, bpf::SysctlChange::FromArguments(left->arguments));
  change.undo = left->handle;
  changes_.push_back(std::move(change));
  return absl::OkStatus();
}

LoopbackRoutes::~LoopbackRoutes() {
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    faults::FinishUndo(undo_, change->undo, bpf::RestoreSysctl(change->setting));
  }
}

}  // namespace faultline::network
