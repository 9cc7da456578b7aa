// The streams of other members that are open at this node: a second process of a member that
// speaks while the first one does is told from one that has taken its place.
//
// Threads: every method may be called from any thread.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "base/status.h"
#include "raft/grpc_transport.h"

namespace raft::v1 {
class ExchangeRequest;
}

namespace faultline::raft {

// How a stream's first part introduces the node that it comes from.
Hello HelloIn(const ::raft::v1::ExchangeRequest& request);

class OpenStreams {
 public:
  // A process that has said nothing for so long may be gone without a word.
  static constexpr uint64_t kAliveNs = 2'000'000'000;

  // One that is open, until it is destroyed; the object it came from outlives it.
  class Stream {
   public:
    Stream(OpenStreams* owner, const Hello& hello, uint64_t now_ns);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    // Whose it is.
    uint64_t node_id() const { return node_id_; }
    // Something has come.
    void Heard(uint64_t now_ns);

   private:
    friend class OpenStreams;
    OpenStreams* const owner_;
    const uint64_t node_id_, start_id_;
    uint64_t heard_ns_;
  };

  // FAILED_PRECONDITION / DUPLICATE_ID while another start of that node speaks. Times are of one
  // monotonic clock.
  StatusOr<std::unique_ptr<Stream>> Enter(const Hello& hello, uint64_t now_ns);

  uint64_t refused() const;

 private:
  mutable std::mutex mutex_;
  std::list<Stream*> open_;
  uint64_t refused_ = 0;
};

}  // namespace faultline::raft
