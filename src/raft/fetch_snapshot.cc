#include "raft/fetch_snapshot.h"

#include <thread>
#include <utility>

#include "raft/load_snapshot.h"

namespace faultline::raft {
namespace {

// A fetch that gets nothing so many times in a row is given up; the leader offers again.
constexpr int kMaxStalled = 5;
constexpr std::chrono::milliseconds kRetryFetch{200};

// These codes would be said of the snapshot (Driver::FetchDone); a connection's end is of none.
Status WithoutVerdict(const Status& ended) {
  const bool verdict =
      ended.code() == StatusCode::kFailedPrecondition || ended.code() == StatusCode::kDataLoss;
  if (!verdict) return ended;
  return MakeError(StatusCode::kUnavailable, "{}", ToString(ended.message()));
}

// Goes on where it was interrupted, as long as something comes.
Status FetchBytes(const Member& from, const Snapshot& wanted, Transport* transport,
                  DurableFile* file, uint64_t have_bytes, const std::atomic<bool>& stopping) {
  Status taken;  // the sink's
  for (int stalled = 0; have_bytes < wanted.sum.size_bytes;) {
    const uint64_t before = have_bytes;
    const Status status =
        transport->FetchSnapshot(from, wanted, have_bytes, [&](std::string_view bytes) -> Status {
          if (bytes.size() > wanted.sum.size_bytes - have_bytes) {
            taken = MakeError(StatusCode::kDataLoss, "the snapshot is longer than was offered");
          } else {
            taken = file->Append(bytes);
          }
          if (taken.ok()) have_bytes += bytes.size();
          return taken;
        });
    if (!taken.ok()) return taken;
    if (have_bytes == wanted.sum.size_bytes) break;
    if (have_bytes > before) stalled = 0;
    const bool worth = status.code() == StatusCode::kUnavailable || status.ok();
    if (!worth || ++stalled > kMaxStalled || stopping) return WithoutVerdict(status);
    std::this_thread::sleep_for(kRetryFetch);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<Driver::Fetched> FetchSnapshot(const Member& from, const SnapshotPtr& wanted,
                                        Transport* transport, SnapshotFolder* folder,
                                        const StateMachine& machine,
                                        const std::atomic<bool>& stopping) {
  DurableFile file;
  uint64_t have_bytes = 0;
  FL_RETURN_IF_ERROR(folder->OpenPart(wanted, &file, &have_bytes));
  FL_RETURN_IF_ERROR(FetchBytes(from, *wanted, transport, &file, have_bytes, stopping));
  Driver::Fetched fetched;
  FL_ASSIGN_OR_RETURN(fetched.snapshot, folder->FinishPart(wanted, &file));
  FL_ASSIGN_OR_RETURN(fetched.state, LoadSnapshot(*fetched.snapshot, machine));
  return fetched;
}

}  // namespace faultline::raft
