// Looks at hooks: whether targets' names still lead to them and our programs are on, and what is
// around them.
#include <algorithm>

#include "faults/network/gateway.h"
#include "faults/network/hooks.h"

namespace faultline::network {
namespace {

constexpr std::chrono::seconds kGatewaysAge{5};

// Where those names lead now.
const StatusOr<HookPlace>& PlaceOf(const TargetPlace& target, Hooks::Look* look) {
  const auto known = look->places.find(target);
  if (known != look->places.end()) return known->second;
  return look->places.emplace(target, FindPlace(target)).first->second;
}

bool LeadsTo(const StatusOr<HookPlace>& found, const HookPlace& place) {
  return found.ok() && found->IsSameAs(place);
}

}  // namespace

Status Hooks::StillThere(unsigned hook, const TargetPlace& target, Look* look) {
  Hook& held = *hooks_[hook];
  const StatusOr<HookPlace>& now = PlaceOf(target, look);
  FL_RETURN_IF_ERROR(now.status());
  if (now->netns_id != held.place.netns_id) {
    return MakeError(StatusCode::kUnavailable, "{} is another one now", NetnsText(now->netns));
  }
  if (now->interface.index != held.place.interface.index) {
    return MakeError(StatusCode::kUnavailable, "interface '{}' in {} is another one now",
                     held.place.name, NetnsText(now->netns));
  }
  const auto [attached, fresh] = look->attached.try_emplace(hook);
  if (fresh) attached->second = held.first->Alive() && held.second->Alive();
  if (!attached->second) {
    return MakeError(StatusCode::kUnavailable,
                     "somebody has taken Faultline's programs off interface '{}' in {}, or made it "
                     "anew",
                     held.place.name, NetnsText(now->netns));
  }
  // The names that the hook goes by may be those of a target that has moved.
  if (LeadsTo(PlaceOf(held.target, look), held.place)) return absl::OkStatus();
  held.target = target;
  held.place = *now;
  NameDevices(now->netns_id, now->netns);
  return absl::OkStatus();
}

std::string Hooks::Warning(unsigned hook) const {
  const Hook& held = *hooks_[hook];
  std::vector<std::string> ahead;
  for (const auto* attachment : {held.first.get(), held.second.get()}) {
    ahead.push_back(attachment->Ahead());
  }
  std::erase(ahead, "");
  if (ahead.empty()) return {};
  return fmt::format(
      "on interface '{}' in {} other people's filters stand before Faultline's ({}): packets for "
      "which they end the chain meet no fault and are not measured",
      held.place.name, NetnsText(held.place.netns), fmt::join(ahead, ", "));
}

void Hooks::FindGateways() {
  const auto time = std::chrono::steady_clock::now();
  if (time - gateways_found_ < kGatewaysAge) return;
  gateways_found_ = time;
  for (unsigned i = 0; i < FL_MAX_HOOKS; ++i) {
    if (hooks_[i]) FindGatewaysOf(i);
  }
}

void Hooks::FindGatewaysOf(unsigned hook) {
  // Those that the target itself has.
  const TargetPlace& target = hooks_[hook]->target;
  if (!LeadsTo(FindPlace(target), hooks_[hook]->place)) return;
  const auto netns_fd = bpf::OpenNetns(target.netns);
  if (!netns_fd.ok()) return;
  Gateways found;
  const Status looked = bpf::InNetns(*netns_fd, [&] {
    found = ReadGateways(target.interface);
    return absl::OkStatus();
  });
  if (!looked.ok()) return;
  fl_hook& shared = kernel_->tables()->hook[hook];
  std::copy(found.ipv4.begin(), found.ipv4.end(), shared.gateway[0]);
  std::copy(found.ipv6.begin(), found.ipv6.end(), shared.gateway[1]);
}

}  // namespace faultline::network
