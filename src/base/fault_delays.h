// How long packets of faults have waited: exact sums of histograms, one for each fault.
#pragma once

#include "chaos/v1/metrics.pb.h"

namespace faultline {

using FaultDelaysList = google::protobuf::RepeatedPtrField<chaos::v1::FaultDelays>;

// Of more faults nothing is added up: a target has a few at a time.
inline constexpr int kMaxFaultDelays = 256;

// Adds `from`, in which a fault may stand several times, to `into`. A histogram that is not of our
// scheme is left out, and so are faults beyond kMaxFaultDelays. Percentiles are those of `from`.
void MergeDelays(const FaultDelaysList& from, FaultDelaysList* into);

}  // namespace faultline
