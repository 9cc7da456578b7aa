// The one place where absl::Status becomes grpc::Status and back; details travel in both directions
// as chaos.v1.ErrorStatus.
#pragma once

#include <grpcpp/support/status.h>

#include "base/status.h"

namespace faultline::rpc {

grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

}  // namespace faultline::rpc
