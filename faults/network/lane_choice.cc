#include "faults/network/lane_choice.h"

#include "bpf/probe.h"

namespace faultline::network {
namespace {

constexpr char kFeature[] = "fq";

}  // namespace

StatusOr<LaneChoice> ChooseLane(const std::string& word) {
  const bool has_fq = bpf::HasFeature(kFeature);
  if (word == "tap") return LaneChoice::kTap;
  if (word == "auto") return has_fq ? LaneChoice::kAuto : LaneChoice::kTap;
  if (word != "fq") {
    return MakeError(StatusCode::kInvalidArgument, "lane '{}' is none of auto, tap and fq", word);
  }
  if (has_fq) return LaneChoice::kFq;
  return MakeError(StatusCode::kFailedPrecondition, "lane fq was asked for, and {}",
                   ToString(bpf::RequireFeature(kFeature).message()));
}

std::vector<chaos::v1::Capability> CapabilitiesWith(LaneChoice choice) {
  std::vector<chaos::v1::Capability> capabilities;
  for (const bpf::Feature& feature : bpf::KernelFeatures()) {
    auto& capability = capabilities.emplace_back();
    const bool unused = choice == LaneChoice::kTap && feature.available && feature.name == kFeature;
    capability.set_name(feature.name);
    capability.set_available(feature.available && !unused);
    capability.set_reason(unused ? "lane tap was asked for: the TAP lane is used instead"
                                 : feature.reason);
  }
  return capabilities;
}

}  // namespace faultline::network
