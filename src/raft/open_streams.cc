#include "raft/open_streams.h"

#include <algorithm>

#include "base/log.h"
#include "raft/v1/raft.pb.h"

namespace faultline::raft {

Hello HelloIn(const ::raft::v1::ExchangeRequest& request) {
  Hello hello;
  hello.node_id = request.from_id();
  hello.cluster_id = request.cluster_id();
  hello.store_id = request.store_id();
  hello.start_id = request.start_id();
  hello.oldest_protocol = std::max(request.oldest_protocol(), 1U);
  hello.newest_protocol = std::max(request.newest_protocol(), 1U);
  return hello;
}

OpenStreams::Stream::Stream(OpenStreams* owner, const Hello& hello, uint64_t now_ns)
    : owner_(owner), node_id_(hello.node_id), start_id_(hello.start_id), heard_ns_(now_ns) {}

OpenStreams::Stream::~Stream() {
  const std::lock_guard lock(owner_->mutex_);
  owner_->open_.remove(this);
}

void OpenStreams::Stream::Heard(uint64_t now_ns) {
  const std::lock_guard lock(owner_->mutex_);
  heard_ns_ = now_ns;
}

StatusOr<std::unique_ptr<OpenStreams::Stream>> OpenStreams::Enter(const Hello& hello,
                                                                  uint64_t now_ns) {
  auto stream = std::make_unique<Stream>(this, hello, now_ns);  // goes after the lock
  const std::lock_guard lock(mutex_);
  for (const Stream* other : open_) {
    const bool same = other->node_id_ != hello.node_id || other->start_id_ == hello.start_id ||
                      other->start_id_ == 0 || hello.start_id == 0;
    if (same || now_ns - other->heard_ns_ >= kAliveNs) continue;
    const std::string sentence = fmt::format(
        "another process speaks as node {} at the same time: two run on copies of its "
        "data directory; stop both, remove the node, and add it anew under a new id",
        hello.node_id);
    const uint64_t count = ++refused_;
    // It will try again and again.
    if (IsWorthALine(count)) FL_LOG(warn, "refused a node: {} ({} times)", sentence, count);
    return MakeDetailedError(StatusCode::kFailedPrecondition, "DUPLICATE_ID", sentence);
  }
  open_.push_back(stream.get());
  return stream;
}

uint64_t OpenStreams::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace faultline::raft
