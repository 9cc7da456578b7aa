#include "faults/network/loopback.h"

#include "base/log.h"

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
  if (change.setting.old_value == kOn) return absl::OkStatus();
  if (undo_ != nullptr) {
    FL_ASSIGN_OR_RETURN(change.undo, undo_->Record(bpf::kUndoSysctl, change.setting.ToArguments()));
  }
  // Kept even when this fails: the destructor then takes the record out of the journal.
  changes_.push_back(change);
  return bpf::ApplySysctl(change.setting);
}

LoopbackRoutes::~LoopbackRoutes() {
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    if (const Status restored = bpf::RestoreSysctl(change->setting); !restored.ok()) {
      // It stays in the journal, for the guardian and the next start.
      FL_LOG(error, "{}", ToString(restored.message()));
    } else if (change->undo != 0) {
      undo_->Erase(change->undo);
    }
  }
}

}  // namespace faultline::network
