#include "agent/driver_set.h"

#include <algorithm>
#include <iterator>

namespace faultline::agent {

Status DriverSet::Make(const faults::DriverContext& context) {
  FL_ASSIGN_OR_RETURN(drivers_, groups_.make_drivers(context));
  for (const auto& named : drivers_) {
    for (auto& capability : named.driver->Probe()) capabilities_.push_back(std::move(capability));
  }
  return absl::OkStatus();
}

bool DriverSet::SetTargets(const std::vector<chaos::v1::Target>& targets) {
  unfinished_ = false;
  std::vector<std::string> problems, warnings;
  for (const auto& named : drivers_) {
    const auto statuses = named.driver->SetTargets(targets);
    for (size_t i = 0; i < statuses.size(); ++i) {
      if (statuses[i].ok()) continue;
      unfinished_ |= ReasonOf(statuses[i]) == faults::kUnderWay;
      problems.push_back(
          fmt::format("{}: {}", targets[i].target_id(), ToString(statuses[i].message())));
    }
  }
  if (unfinished_) {
    warnings = warnings_;  // new ones cost another look at all targets
  } else {
    for (const auto& named : drivers_) {
      std::ranges::move(named.driver->Warnings(), std::back_inserter(warnings));
    }
  }
  if (problems == problems_ && warnings == warnings_) return false;
  problems_ = std::move(problems);
  warnings_ = std::move(warnings);
  return true;
}

faults::Driver* DriverSet::Of(const std::string& kind) const {
  const std::string group = groups_.group_of(kind);
  for (const auto& named : drivers_) {
    if (named.group == group) return named.driver.get();
  }
  return nullptr;
}

std::vector<faults::Driver*> DriverSet::All() const {
  std::vector<faults::Driver*> all;
  for (const auto& named : drivers_) all.push_back(named.driver.get());
  return all;
}

std::vector<chaos::v1::TargetSample> DriverSet::ReadSamples() {
  std::vector<chaos::v1::TargetSample> samples;
  for (const auto& named : drivers_) named.driver->ReadSamples(&samples);
  return samples;
}

faults::DriverLoad DriverSet::Load() const {
  faults::DriverLoad sum;
  for (const auto& named : drivers_) sum = sum + named.driver->Load();
  return sum;
}

}  // namespace faultline::agent
