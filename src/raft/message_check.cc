#include "raft/message_check.h"

#include "base/log.h"
#include "raft/crc32c.h"
#include "raft/filters.h"
#include "raft/grpc_peer.h"
#include "raft/v1/message.pb.h"
#include "raft/v1/raft.pb.h"

namespace faultline::raft {
namespace {

Status Bad(StatusCode code, std::string_view reason, uint64_t from_id, std::string_view what) {
  return MakeDetailedError(code, reason, fmt::format("a message of node {} {}", from_id, what));
}

Status CheckMessage(uint64_t own_id, uint64_t from_id, const std::string& bytes) {
  pb::PeerMessage message;
  if (!message.ParseFromString(bytes)) {
    return Bad(StatusCode::kInvalidArgument, "MALFORMED_MESSAGE", from_id, "cannot be read");
  }
  if (message.to_id() != own_id) {
    return MakeDetailedError(
        StatusCode::kFailedPrecondition, "FOR_ANOTHER_NODE",
        fmt::format("what node {} sends to node {} arrives at node {}: its address is wrong",
                    from_id, message.to_id(), own_id));
  }
  if (message.body_case() == pb::PeerMessage::BODY_NOT_SET) return absl::OkStatus();
  const Status status = CheckWellFormed(message);
  if (status.ok()) return status;
  return Bad(StatusCode::kInvalidArgument, "MALFORMED_MESSAGE", from_id,
             "is none that a member sends: " + ToString(status.message()));
}

}  // namespace

Status MessageCheck::Refusal(const ::raft::v1::ExchangeRequest& request, uint64_t from_id) const {
  if (request.ByteSizeLong() > static_cast<size_t>(kMaxWireBytes)) {
    return Bad(
        StatusCode::kResourceExhausted, "MESSAGE_TOO_LARGE", from_id,
        fmt::format("has {} bytes, and {} are allowed", request.ByteSizeLong(), kMaxWireBytes));
  }
  if (request.from_id() != from_id) {
    return Bad(StatusCode::kInvalidArgument, "MALFORMED_MESSAGE", from_id,
               fmt::format("says that it is of node {}", request.from_id()));
  }
  // Versions that do not tell have none.
  const bool checked = request.crc32c_size() > 0;
  if (checked && request.crc32c_size() != request.messages_size()) {
    return Bad(StatusCode::kDataLoss, "BAD_CHECKSUM", from_id,
               fmt::format("is missing: {} messages came with {} checksums",
                           request.messages_size(), request.crc32c_size()));
  }
  for (int i = 0; i < request.messages_size(); ++i) {
    if (checked && request.crc32c(i) != Crc32c(request.messages(i))) {
      return Bad(StatusCode::kDataLoss, "BAD_CHECKSUM", from_id, "does not match its checksum");
    }
    FL_RETURN_IF_ERROR(CheckMessage(own_id_, from_id, request.messages(i)));
  }
  return absl::OkStatus();
}

Status MessageCheck::Check(uint64_t from_id, const ::raft::v1::ExchangeRequest& request) {
  const Status status = Refusal(request, from_id);
  if (status.ok()) return status;
  const std::lock_guard lock(mutex_);
  const uint64_t count = ++refused_[DetailOf(status)->reason()];
  // It may come again and again.
  if (IsWorthALine(count)) {
    FL_LOG(warn, "refused a node's messages: {} ({} times)", ToString(status.message()), count);
  }
  return status;
}

std::map<std::string, uint64_t> MessageCheck::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace faultline::raft
