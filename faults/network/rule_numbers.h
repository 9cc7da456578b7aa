// Which of the kernel's places a new rule gets.
#pragma once

#include <set>

#include "base/status.h"
#include "faults/network/datapath.h"

namespace faultline::network {

class RuleNumbers {
 public:
  // A number that is not taken. Round and round, so that packets that still obey a rule just gone
  // do not meet another in its place. RESOURCE_EXHAUSTED when all are taken.
  StatusOr<unsigned> Next(const std::set<unsigned>& taken) {
    for (unsigned i = 1; i <= FL_MAX_RULES; ++i) {
      const unsigned number = (last_ + i) % FL_MAX_RULES;
      if (taken.contains(number)) continue;
      last_ = number;
      return number;
    }
    return MakeError(StatusCode::kResourceExhausted, "this agent already carries {} faults",
                     FL_MAX_RULES);
  }

 private:
  unsigned last_ = FL_MAX_RULES - 1;
};

}  // namespace faultline::network
