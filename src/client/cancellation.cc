#include "client/cancellation.h"

#include <utility>

namespace faultline::client {

void Cancellation::Cancel() {
  std::lock_guard lock(mutex_);
  if (cancelled_) return;
  cancelled_ = true;
  for (const auto& [id, on_cancel] : subscribers_) on_cancel();
  changed_.notify_all();
}

bool Cancellation::cancelled() const {
  std::lock_guard lock(mutex_);
  return cancelled_;
}

bool Cancellation::WaitFor(std::chrono::nanoseconds duration) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, duration, [this] { return cancelled_; });
}

Cancellation::Subscription::Subscription(std::shared_ptr<Cancellation> token,
                                         std::function<void()> on_cancel)
    : token_(std::move(token)) {
  if (!token_) return;
  std::lock_guard lock(token_->mutex_);
  if (token_->cancelled_) {
    on_cancel();
    return;
  }
  id_ = token_->next_id_++;
  token_->subscribers_.emplace(id_, std::move(on_cancel));
}

Cancellation::Subscription::~Subscription() {
  if (!token_) return;
  std::lock_guard lock(token_->mutex_);
  token_->subscribers_.erase(id_);
}

}  // namespace faultline::client
