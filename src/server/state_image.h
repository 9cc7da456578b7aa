// The control plane's state on its way into a snapshot and out of one.
#pragma once

#include <utility>

#include "control/snapshot.h"
#include "raft/state_image.h"

namespace faultline::server {

class StateImage final : public raft::StateImage {
 public:
  explicit StateImage(control::StateData data) : data_(std::move(data)) {}
  Status Write(const ByteSink& sink) const override { return control::WriteState(data_, sink); }

 private:
  const control::StateData data_;
};

struct LoadedState final : raft::LoadedState {
  control::State state;
};

}  // namespace faultline::server
