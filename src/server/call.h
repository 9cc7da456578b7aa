// What every request handler of this folder is called with, free of gRPC.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "rpc/endpoint.h"

namespace faultline::server {

using rpc::Caller;

struct CallContext {
  Caller caller;
  // CLOCK_MONOTONIC time by which the handler answers, if only with an error.
  uint64_t deadline_ns = 0;
};

// Called exactly once, from any thread.
template <typename T>
using Done = std::function<void(StatusOr<T>)>;

}  // namespace faultline::server
