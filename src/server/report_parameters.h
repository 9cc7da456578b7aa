// What each parameter of an experiment's faults asked for against what was measured. Pure.
#pragma once

#include "chaos/v1/report.pb.h"

namespace faultline::server {

// Adds what a fault did on one target to what it did on others.
void AddUp(const chaos::v1::FaultEffect& from, chaos::v1::FaultEffect* into);

// Adds `parameters` to a report whose experiment and targets are there: for each fault its effect,
// where no parameter says how much of it there should be, then each parameter that was given or
// has to be. What nothing measures has a row that says why. With several targets, all of them
// together come first. With the default value a parameter is told of only if it does something
// that is measured.
void AddParameters(chaos::v1::Report* report);

}  // namespace faultline::server
