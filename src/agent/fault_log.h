// How the agent's log speaks of a fault on a target.
#pragma once

#include <string>

#include "base/log.h"
#include "faults/driver.h"

namespace faultline::agent {

inline std::string Text(const faults::FaultKey& key) {
  return fmt::format("experiment {} fault {} on {}", key.experiment_id, key.fault_index,
                     key.target_id);
}

// const LogFields about = About(key);
inline LogFields About(const faults::FaultKey& key) {
  return LogFields{{"experiment_id", key.experiment_id}, {"target_id", key.target_id}};
}

}  // namespace faultline::agent
