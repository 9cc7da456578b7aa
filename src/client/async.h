// The client without waiting: calls that tell their end to a callback, and streams that are read
// ahead and handed out on request.
//
// Threads: every method is safe from any thread. Each call and each stream has a thread of its own
// in the library, at most kMaxThreads for one AsyncClient, not counting those that were cancelled
// and are about to end. Callbacks come from these threads, with no lock held; they may use the
// client, and hold up nothing but their own call or stream. When a callback can be answered at once
// it comes from the calling thread, before the method returns.
//
// Lifetime: what runs keeps what it needs, so an AsyncClient may go at any time, also inside a
// callback: that cancels all it has begun, and every callback still outstanding comes with
// CANCELLED. Alive() tells when the last of it has ended: a process that unloads the library, or
// ends, waits for that.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/client.h"

namespace faultline::client {

// Threads and streams of all AsyncClients that have not ended, and what counts itself with Living.
int64_t Alive();

// An object that is counted by Alive while it is there.
class Living {
 public:
  Living();
  ~Living();
  Living(const Living&) = delete;
  Living& operator=(const Living&) = delete;
};

// A stream went on at another node (or the same one) after it broke.
struct Interruption {
  Status why;
  std::string next_address;
};

// What a stream had ready.
template <typename Message>
struct Batch {
  std::vector<Message> messages;
  // The last one since the batch before, when there was any: before some of `messages`.
  std::optional<Interruption> interruption;
  // The end of the stream, once everything before has been handed out: OUT_OF_RANGE when the server
  // has ended it because nothing can follow.
  Status status;
};

template <typename Message>
class AsyncStream {
 public:
  // Messages that are read ahead. When they are not asked for, nothing more is read: the server
  // then merges what it has to say of metrics, and counts that.
  static constexpr size_t kAhead = 1024;
  using Taker = std::function<void(Batch<Message>)>;

  explicit AsyncStream(std::shared_ptr<Cancellation> token) : token_(std::move(token)) {}

  // Calls `taker` once: with 1 to `max` messages or an interruption as soon as there are, or with
  // the stream's end, then again at every further call. One at a time: FAILED_PRECONDITION (reason
  // ALREADY_ASKED) for a second one meanwhile.
  void Next(size_t max, Taker taker);
  void Cancel() { token_->Cancel(); }

  // For AsyncClient: reads on the calling thread until the stream's end; or ends what never began.
  using Open = std::function<std::unique_ptr<Stream<Message>>(Client&, StreamOptions)>;
  void Read(Client& client, const Open& open);
  void End(Status status);

 private:
  void Put(Message message);
  // Hands out what is ready, if it was asked for. Unlocks.
  void Deliver(std::unique_lock<std::mutex> lock);

  const Living living_;
  const std::shared_ptr<Cancellation> token_;
  std::mutex mutex_;
  std::condition_variable room_;
  bool cancelled_ = false;
  std::deque<Message> ready_;
  std::optional<Interruption> interruption_;
  Status end_;  // not OK: nothing follows what is ready
  Taker taker_;
  size_t max_ = 0;
};
using AsyncMetrics = AsyncStream<chaos::v1::MetricUpdate>;
using AsyncWatch = AsyncStream<chaos::v1::WatchExperimentsResponse>;

class AsyncClient {
 public:
  static constexpr size_t kMaxThreads = 128;
  // Together with those that were cancelled and are about to end.
  static constexpr size_t kMaxEnding = 1'024;

  // As Client::Create.
  static StatusOr<std::unique_ptr<AsyncClient>> Create(const Options& options);
  // Cancels; does not wait.
  ~AsyncClient();

  // Runs `work`, any calls of a Client under that token, and then `done` with its result, once.
  // RESOURCE_EXHAUSTED (reason TOO_MANY_CALLS) when kMaxThreads run. Result: what cancels it.
  template <typename Result>
  std::shared_ptr<Cancellation> Call(
      std::function<StatusOr<Result>(Client&, const CallOptions&)> work,
      std::function<void(StatusOr<Result>)> done) {
    return Begin(
        [work = std::move(work), done = std::move(done)](
            Client* client, const std::shared_ptr<Cancellation>& token, const Status& refused) {
          done(client == nullptr ? StatusOr<Result>(refused) : work(*client, {token}));
        });
  }

  std::shared_ptr<AsyncMetrics> SubscribeToMetrics(chaos::v1::SubscribeToMetricsRequest request);
  std::shared_ptr<AsyncWatch> WatchExperiments(chaos::v1::WatchExperimentsRequest request);

 private:
  struct Shared;
  // With a client, on a thread of its own; without, on the calling one, when it is refused.
  using Work = std::function<void(Client*, const std::shared_ptr<Cancellation>&, const Status&)>;

  explicit AsyncClient(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<Cancellation> Begin(Work work, std::shared_ptr<Cancellation> token = nullptr);
  template <typename Message>
  std::shared_ptr<AsyncStream<Message>> BeginStream(typename AsyncStream<Message>::Open open);

  const std::shared_ptr<Shared> shared_;
};

}  // namespace faultline::client
