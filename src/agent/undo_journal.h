// What must be undone when the agent dies, on disk before the deed is done.
//
// The file begins with an 8-byte magic; then records follow: length, CRC-32 of the payload, CRC-32
// of those two words (little-endian, 4 bytes each), and the payload, an agent.v1.JournalRecord.
// Every record is flushed to disk before the next is written, so a crash can tear only the last:
// a torn end is cut off, damage before it is refused with the file and the offset (after what is
// sound has been undone: UndoReadable).
//
// All actions of faults/undo.h undo kernel state, which a reboot clears: deeds of an earlier boot
// are dropped when the journal is opened.
//
// Not thread-safe: the agent's strand, or the guardian once the agent is gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "faults/driver.h"

namespace faultline::agent {

using faults::UndoFunction;

// The kernel's boot id; empty when it cannot be read.
std::string BootId();

class UndoJournal : public faults::UndoLog {
 public:
  // Opens or makes `path` and compacts it. DATA_LOSS with file and offset when it is damaged. A
  // journal that is there is opened on a full disk too, so that what it holds can be undone.
  static StatusOr<std::unique_ptr<UndoJournal>> Open(const std::string& path,
                                                     const std::string& boot_id = BootId());
  ~UndoJournal() override;

  // UndoLog: on disk when it returns; handles grow and are never used again.
  StatusOr<uint64_t> Record(const std::string& kind,
                            const std::vector<std::string>& arguments) override;
  void Erase(uint64_t handle) override;
  void Leave(uint64_t handle, const Status& why) override;
  bool IsLeft(uint64_t handle) const override;
  std::optional<Left> Reclaim(
      const std::string& kind,
      const std::function<bool(const std::vector<std::string>&)>& same) override;

  // Undoes every deed, the newest first, and erases those that could be undone. What fails is tried
  // again until `patience` is over, and is left then. The first failure of the last round.
  Status UndoAll(const UndoFunction& undo, std::chrono::milliseconds patience = {});
  // Tries once to undo what was left.
  void TryLeft(const UndoFunction& undo);
  // What was left and is not undone, a sentence each: why, when it was tried last.
  std::vector<std::string> left() const;

  // Of a journal that Open refuses: undoes every deed of this boot that can be read, the newest
  // first, and changes nothing of the file. What had been undone already is undone once more, which
  // finds nothing to do. The first failure is returned after all were tried; INTERNAL when the file
  // cannot be read.
  static Status UndoReadable(const std::string& path, const UndoFunction& undo,
                             const std::string& boot_id = BootId());

  // Deeds not yet undone.
  size_t size() const { return deeds_.size(); }

 private:
  struct Deed {
    std::string kind;
    std::vector<std::string> arguments;
    std::optional<std::string> left{};  // why it could not be undone by who did it
  };
  // Undoes what is to be, the newest first; the first failure.
  Status Undo(const UndoFunction& undo, bool only_left);
  UndoJournal(std::string path, std::string boot_id)
      : path_(std::move(path)), boot_id_(std::move(boot_id)) {}
  StatusOr<std::string> ReadFile() const;  // empty when there is none
  Status Load();
  Status Apply(const std::string& payload, uint64_t offset);
  // Rewrites the file with only what is left to undo.
  Status Compact();
  // Goes on in the file as it is, after its last whole record.
  Status Continue();
  Status Append(const std::string& frame);
  std::string DeedFrame(uint64_t handle, const Deed& deed) const;

  const std::string path_;
  const std::string boot_id_;
  std::map<uint64_t, Deed> deeds_;
  uint64_t next_handle_ = 1;
  int fd_ = -1;
  uint64_t file_bytes_ = 0;
  size_t dead_records_ = 0;
};

}  // namespace faultline::agent
