#include "rpc/status.h"

namespace faultline::rpc {

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // Both follow the canonical codes, number by number.
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message = ToString(status.message());
  const auto detail = DetailOf(status);
  if (!detail) return grpc::Status(code, message);
  chaos::v1::ErrorStatus wire;
  wire.set_code(static_cast<int>(code));
  wire.set_message(message);
  wire.add_details()->PackFrom(*detail);
  return grpc::Status(code, message, wire.SerializeAsString());
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  Status result(static_cast<StatusCode>(status.error_code()), ToAbsl(status.error_message()));
  chaos::v1::ErrorStatus wire;
  chaos::v1::ErrorDetail detail;
  if (!status.error_details().empty() && wire.ParseFromString(status.error_details()) &&
      wire.details_size() > 0 && wire.details(0).UnpackTo(&detail)) {
    AttachDetail(result, detail);
  }
  return result;
}

}  // namespace faultline::rpc
