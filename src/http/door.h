// How replies find the way back to a listener's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <mutex>

namespace faultline::http {

// The way back to a listener's thread for replies, which may come when the listener is gone.
class Door {
 public:
  explicit Door(boost::asio::io_context* io) : io_(io) {}
  void Post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    if (io_ != nullptr) boost::asio::post(*io_, std::move(task));
  }
  void Shut() {
    const std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

 private:
  std::mutex mutex_;
  boost::asio::io_context* io_;
};

}  // namespace faultline::http
