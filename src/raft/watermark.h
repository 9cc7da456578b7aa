// A small file beside the log that remembers how far the log has been acknowledged. It is written
// after the log's own sync and is itself never synced, so that what is on disk is never ahead of
// the log: a log that ends before it, torn or not, has lost writes that others were told of. Also
// the lock of the directory.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace faultline::raft {

class Watermark {
 public:
  Watermark() = default;
  ~Watermark();
  Watermark(const Watermark&) = delete;
  Watermark& operator=(const Watermark&) = delete;

  // Opens or creates `path` and locks it for this process. FAILED_PRECONDITION when another one has
  // it; DATA_LOSS when its content is damaged.
  Status Open(const std::string& path);
  // The same, to look at only: a file that is missing is not made (and nothing is locked then).
  Status OpenToRead(const std::string& path);
  // False: the file was made by Open, or is missing.
  bool existed() const { return existed_; }
  // The log's sequence number after the newest acknowledged write.
  uint64_t last() const { return last_; }

  // Sets it, durably.
  Status Reset(uint64_t sequence);
  // Remembers one more acknowledged write.
  Status Advance(uint64_t sequence);

 private:
  Status Lock();
  Status Read();
  Status Write();

  std::string path_;
  int fd_ = -1;
  bool existed_ = false;
  uint64_t last_ = 0;
};

}  // namespace faultline::raft
