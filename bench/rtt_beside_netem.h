// Round trips through our delays beside netem's, in one boot of a virtual machine.
#pragma once

#include "report.h"

namespace faultline::bench {

// Measures and reports, if this kernel has fq and netem; else returns false.
bool MeasureBesideNetem(Report& report);

}  // namespace faultline::bench
