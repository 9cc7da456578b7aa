#include "server/overload.h"

#include <algorithm>

#include "base/clock.h"

namespace faultline::server {
namespace {

constexpr std::chrono::nanoseconds kSoonest = std::chrono::milliseconds(20);
constexpr std::chrono::nanoseconds kLatest = std::chrono::seconds(2);

}  // namespace

Status Overloaded(std::string_view reason, std::string_view message,
                  std::chrono::nanoseconds retry_after) {
  Status status = MakeDetailedError(StatusCode::kResourceExhausted, reason, message);
  auto detail = *DetailOf(status);
  detail.mutable_retry_after()->set_seconds(retry_after.count() / 1'000'000'000);
  detail.mutable_retry_after()->set_nanos(
      static_cast<int32_t>(retry_after.count() % 1'000'000'000));
  AttachDetail(status, detail);
  return status;
}

Status TooLate() {
  return MakeDetailedError(StatusCode::kDeadlineExceeded, "TOO_LATE",
                           "the call's time was over before it was begun: nothing was done");
}

Gate::Ticket::Ticket(Gate* gate, std::string client, size_t bytes, uint64_t begun_ns)
    : gate_(gate), client_(std::move(client)), bytes_(bytes), begun_ns_(begun_ns) {}

Gate::Ticket::~Ticket() { gate_->Leave(client_, bytes_, MonotonicNowNs() - begun_ns_); }

StatusOr<std::shared_ptr<Gate::Ticket>> Gate::Enter(const std::string& client, size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    const auto own = count_of_.find(client);
    const bool has_share = own == count_of_.end() || own->second < limits_.count_of_one_client;
    // One alone may weigh anything: what is too large was refused before.
    const bool fits = limits_.bytes == 0 || count_ == 0 || bytes_ + bytes <= limits_.bytes;
    if (count_ >= limits_.count || !has_share || !fits) {
      ++refused_;
      const std::string whose = has_share ? "on this node" : "from one client";
      return Overloaded(limits_.reason,
                        fmt::format("too many {} {} at once; try again later", limits_.what, whose),
                        RetryAfter());
    }
    ++count_;
    bytes_ += bytes;
    ++count_of_[client];
  }
  return std::make_shared<Ticket>(this, client, bytes, MonotonicNowNs());
}

void Gate::Leave(const std::string& client, size_t bytes, uint64_t took_ns) {
  const std::lock_guard lock(mutex_);
  --count_;
  bytes_ -= bytes;
  const auto own = count_of_.find(client);
  if (--own->second == 0) count_of_.erase(own);
  usual_ns_ = usual_ns_ - usual_ns_ / 16 + took_ns / 16;
}

std::chrono::nanoseconds Gate::RetryAfter() const {
  return std::clamp(std::chrono::nanoseconds(usual_ns_), kSoonest, kLatest);
}

size_t Gate::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

uint64_t Gate::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace faultline::server
