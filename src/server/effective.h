// What the faults of all experiments on a target come to together. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include "chaos/v1/experiment.pb.h"
#include "control/state.h"

namespace faultline::server {

// For each target of the experiment on which its faults have not ended, by target id.
google::protobuf::RepeatedPtrField<chaos::v1::EffectiveTarget> EffectiveOn(
    const control::State& state, const control::v1::ExperimentRecord& record);

}  // namespace faultline::server
