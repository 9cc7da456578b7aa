// A server stream that is fed by pulling: whenever the last message is written, and whenever it is
// woken, it asks its source for the next. So a slow reader holds up nothing but itself. Includes
// gRPC: for the .cc files of services only.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "rpc/status.h"

namespace faultline::server {

// Owns itself from Make until gRPC has done with it. Any thread. One that also reads derives from
// it over a ServerBidiReactor.
template <typename Response, typename Reactor = grpc::ServerWriteReactor<Response>>
class PullStream : public Reactor {
 public:
  using Message = std::shared_ptr<const Response>;
  // Null when there is nothing now. What it gives may be shared with other streams.
  using Source = std::function<Message()>;
  // What is this stream's alone, or nothing, as a message.
  static Message Shared(std::optional<Response> response) {
    return response ? std::make_shared<const Response>(*std::move(response)) : nullptr;
  }

  template <typename Stream = PullStream>
  static std::shared_ptr<Stream> Make() {
    std::shared_ptr<Stream> stream(new Stream);
    stream->self_ = stream;
    return stream;
  }

  // Begins to pull. The source is called by one thread at a time, and let go of with the stream.
  void Feed(Source source) {
    {
      const std::lock_guard lock(mutex_);
      source_ = std::make_shared<const Source>(std::move(source));
    }
    Wake();
  }

  // The source may have something.
  void Wake() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      if (busy_ || finished_) return;
      busy_ = true;
    }
    Pump();
  }

  // Ends the stream, after what is being written.
  void End(const Status& status) {
    {
      const std::lock_guard lock(mutex_);
      if (!end_) end_ = status;
      if (busy_ || finished_) return;
      busy_ = true;
    }
    Pump();
  }

  // Ends the stream when its source, which has been told the end, has nothing more.
  void EndWhenEmpty(const Status& status) {
    {
      const std::lock_guard lock(mutex_);
      last_ = status;
    }
    Wake();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      const std::lock_guard lock(mutex_);
      if (!end_) end_ = MakeError(StatusCode::kCancelled, "the reader is gone");
    }
    Pump();
  }
  void OnCancel() override { End(MakeError(StatusCode::kCancelled, "the reader is gone")); }
  void OnDone() override {
    std::shared_ptr<const Source> source;
    const auto self = std::exchange(self_, nullptr);
    const std::lock_guard lock(mutex_);
    source = std::move(source_);
  }

 protected:
  PullStream() = default;

 private:
  // With busy_ held by the caller: writes one message, or ends, or lets go of busy_.
  void Pump() {
    while (true) {
      std::shared_ptr<const Source> source;
      {
        const std::lock_guard lock(mutex_);
        woken_ = false;
        if (end_) finished_ = true;
        source = source_;
      }
      if (finished_) return this->Finish(rpc::ToGrpc(*end_));
      message_ = source ? (*source)() : nullptr;
      if (message_) return this->StartWrite(message_.get());
      const std::lock_guard lock(mutex_);
      if (!woken_ && !end_) end_ = last_;
      if (woken_ || end_) continue;
      busy_ = false;
      return;
    }
  }

  std::mutex mutex_;
  std::shared_ptr<const Source> source_;
  Message message_;        // of whoever is busy: being written
  bool busy_ = false;      // someone pumps, or a message is being written
  bool woken_ = false;     // while busy
  bool finished_ = false;  // Finish has been called
  std::optional<Status> end_;
  std::optional<Status> last_;  // to end with when the source is empty
  std::shared_ptr<PullStream> self_;
};

}  // namespace faultline::server
