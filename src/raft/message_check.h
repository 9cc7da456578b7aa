// What the receiving end of a peer's stream looks at before anything else does: sizes, checksums,
// and whether it is a message, for this node. Counts what it refuses.
//
// Threads: every method may be called from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/status.h"

namespace raft::v1 {
class ExchangeRequest;
}

namespace faultline::raft {

class MessageCheck {
 public:
  explicit MessageCheck(uint64_t own_id) : own_id_(own_id) {}

  // A part of member `from_id`'s stream. An error ends the stream, and its sentence reaches the
  // sender: MESSAGE_TOO_LARGE, BAD_CHECKSUM, MALFORMED_MESSAGE (also when the part names another
  // sender), or FOR_ANOTHER_NODE when an address leads to the wrong member. A kind of message that
  // this version does not know passes: it is ignored later.
  Status Check(uint64_t from_id, const ::raft::v1::ExchangeRequest& request);

  // By reason.
  std::map<std::string, uint64_t> refused() const;

 private:
  Status Refusal(const ::raft::v1::ExchangeRequest& request, uint64_t from_id) const;

  const uint64_t own_id_;
  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> refused_;
};

}  // namespace faultline::raft
