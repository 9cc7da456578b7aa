// What the answer to a stop has of the experiments that it ends: however large they are, little of
// each, so that many fit a message.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstddef>

#include "chaos/v1/experiment.pb.h"

namespace faultline::control {

class StopAnswer {
 public:
  // As soon as the experiments come to so many bytes, those that follow are added without faults
  // and targets.
  static constexpr size_t kWholeBytes = 1 << 20;

  // Adds to `experiments`, which is empty and outlives it.
  explicit StopAnswer(google::protobuf::RepeatedPtrField<chaos::v1::Experiment>* experiments)
      : experiments_(experiments) {}

  void Add(const chaos::v1::Experiment& experiment);

 private:
  google::protobuf::RepeatedPtrField<chaos::v1::Experiment>* const experiments_;
  size_t bytes_ = 0;  // of the whole ones
};

}  // namespace faultline::control
