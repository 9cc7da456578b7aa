// One token that ends calls and streams from another thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace faultline::client {

// All of it is safe from any thread, but not from a signal handler. Shared by whoever cancels and
// whoever waits; cancelling is once and for all.
class Cancellation {
 public:
  void Cancel();
  bool cancelled() const;
  // Waits `duration` or until cancelled; true when cancelled.
  bool WaitFor(std::chrono::nanoseconds duration);

  // While it lives, `on_cancel` is called once when the token is cancelled (at once when it already
  // is). `on_cancel` must not touch the token. After the destructor it is not running any more.
  class Subscription {
   public:
    // A null token never cancels.
    Subscription(std::shared_ptr<Cancellation> token, std::function<void()> on_cancel);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    std::shared_ptr<Cancellation> token_;
    uint64_t id_ = 0;
  };

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool cancelled_ = false;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::function<void()>> subscribers_;
};

}  // namespace faultline::client
