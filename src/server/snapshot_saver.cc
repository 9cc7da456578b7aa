#include "server/snapshot_saver.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace faultline::server {
namespace {

using chaos::v1::SaveSnapshotResponse;

// Pieces (of up to 256 KiB) that wait for the reader, and how long the writer waits for it.
constexpr size_t kPieces = 8;
constexpr std::chrono::seconds kPatience{30};

}  // namespace

// Between the writing thread, which waits, and the reader, which does not.
class SnapshotSaver::Pipe {
 public:
  Pipe(std::function<void()> wake, std::shared_ptr<Gate::Ticket> ticket)
      : wake_(std::move(wake)), ticket_(std::move(ticket)) {}

  Status Push(SaveSnapshotResponse piece) {
    {
      std::unique_lock lock(mutex_);
      const bool room =
          room_.wait_for(lock, kPatience, [this] { return closed_ || pieces_.size() < kPieces; });
      if (closed_) return MakeError(StatusCode::kCancelled, "the reader is gone");
      if (!room) {
        return MakeError(StatusCode::kDeadlineExceeded,
                         "the reader has taken nothing of the snapshot for {} s",
                         kPatience.count());
      }
      pieces_.push_back(std::move(piece));
    }
    wake_();
    return absl::OkStatus();
  }

  void End(const Status& status) {
    {
      const std::lock_guard lock(mutex_);
      end_ = status.ok() ? MakeError(StatusCode::kOutOfRange, "that was all of it") : status;
    }
    wake_();
  }

  StatusOr<std::optional<SaveSnapshotResponse>> Pop() {
    const std::lock_guard lock(mutex_);
    if (!pieces_.empty()) {
      std::optional<SaveSnapshotResponse> piece = std::move(pieces_.front());
      pieces_.pop_front();
      room_.notify_one();
      return piece;
    }
    if (end_) return *end_;
    return std::optional<SaveSnapshotResponse>();
  }

  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ticket_.reset();
    room_.notify_one();
  }

 private:
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::deque<SaveSnapshotResponse> pieces_;
  std::optional<Status> end_;
  bool closed_ = false;
  std::shared_ptr<Gate::Ticket> ticket_;
};

void SnapshotSaver::Begin(const CallContext& context, bool stale, std::function<void()> wake,
                          Done<std::shared_ptr<Save>> done) {
  class Reader final : public Save {
   public:
    explicit Reader(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
    ~Reader() override { pipe_->Close(); }
    StatusOr<std::optional<SaveSnapshotResponse>> Next() override { return pipe_->Pop(); }

   private:
    const std::shared_ptr<Pipe> pipe_;
  };
  const auto ticket = gate_.Enter(context.caller.name, 0);
  if (!ticket.ok()) return done(ticket.status());
  auto pipe = std::make_shared<Pipe>(std::move(wake), *ticket);
  const auto capture = [this, stale, pipe, name = context.caller.name,
                        done = std::move(done)](const Status& fresh) {
    if (!fresh.ok()) return done(fresh);
    plane_->CaptureForSave([this, stale, pipe, name, done](StatusOr<SavedImage> saved) {
      if (!saved.ok()) return done(saved.status());
      if (saved->metadata.last_index() == 0) {
        return done(MakeDetailedError(StatusCode::kUnavailable, "NO_LEADER",
                                      "the cluster has never had a leader yet"));
      }
      FL_LOG(info, "{} saves a snapshot at entry {}", name, saved->metadata.last_index());
      auto reader = std::make_shared<Reader>(pipe);
      strand_.Post([this, stale, pipe, saved = *std::move(saved)]() mutable {
        Write(pipe, stale, std::move(saved));
      });
      done(std::move(reader));
    });
  };
  if (stale) return capture(absl::OkStatus());
  leader_->CatchUp(context, capture);
}

void SnapshotSaver::Write(const std::shared_ptr<Pipe>& pipe, bool stale, SavedImage saved) {
  SaveSnapshotResponse first;
  auto* freshness = first.mutable_freshness();
  freshness->set_node_id(node_id_);
  freshness->set_revision(saved.metadata.last_index());
  freshness->set_stale(stale);
  if (const auto age = leader_->Age(saved.metadata.last_index()); stale && age) {
    freshness->mutable_age()->set_seconds(age->count() / 1'000'000'000);
    freshness->mutable_age()->set_nanos(static_cast<int32_t>(age->count() % 1'000'000'000));
  }
  raft::pb::SnapshotHeader header;
  *header.mutable_metadata() = std::move(saved.metadata);
  header.set_created_unix_ms(UnixNowMs());
  raft::SnapshotEncoder encoder([&pipe](std::string_view bytes) {
    SaveSnapshotResponse piece;
    piece.set_data(bytes.data(), bytes.size());
    return pipe->Push(std::move(piece));
  });
  Status status = pipe->Push(std::move(first));
  if (status.ok()) status = encoder.Begin(header);
  if (status.ok()) {
    status = saved.image->Write([&](std::string_view content) { return encoder.Append(content); });
  }
  if (status.ok()) status = encoder.Finish().status();
  pipe->End(status);
}

}  // namespace faultline::server
