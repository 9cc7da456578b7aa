#include "agent/heartbeat.h"

#include <pthread.h>

#include "base/clock.h"

namespace faultline::agent {

Heartbeat::Heartbeat(faults::LeasePage* page, uint64_t heartbeat_ns)
    : page_(page), heartbeat_ns_(heartbeat_ns), alive_ns_(BoottimeNowNs()) {
  thread_ = std::thread([this] { Beat(); });
  pthread_setname_np(thread_.native_handle(), "fl-heartbeat");
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  thread_.join();
  page_->heartbeat_until_ns = 0;
}

void Heartbeat::Alive() { alive_ns_.store(BoottimeNowNs(), std::memory_order_relaxed); }

void Heartbeat::Beat() {
  const auto pause = std::chrono::nanoseconds(heartbeat_ns_ / 4);
  std::unique_lock lock(mutex_);
  do {
    const uint64_t now_ns = BoottimeNowNs();
    if (now_ns < alive_ns_.load(std::memory_order_relaxed) + kStrandPatienceNs) {
      page_->heartbeat_until_ns = now_ns + heartbeat_ns_;
      beats_.Add();
    }
  } while (!wake_.wait_for(lock, pause, [this] { return stopped_; }));
}

}  // namespace faultline::agent
