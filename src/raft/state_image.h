// A state machine's state apart from the machine: on its way into a snapshot, or out of one.
#pragma once

#include "base/bytes.h"

namespace faultline::raft {

// The state of one moment, whatever is applied afterwards. Used and destroyed on any thread.
class StateImage {
 public:
  virtual ~StateImage() = default;
  // Writes the whole state in pieces; errors are the sink's. The same bytes for equal states.
  virtual Status Write(const ByteSink& sink) const = 0;
};

// A state that was read and is not in force yet.
class LoadedState {
 public:
  virtual ~LoadedState() = default;
};

}  // namespace faultline::raft
