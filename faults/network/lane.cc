#include "faults/network/lane.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "faults/network/tap.h"

namespace faultline::network {
namespace {

constexpr unsigned kBatchFrames = 64;
constexpr unsigned kDrainFrames = 16'384;  // more than a device's queue holds
constexpr size_t kTrimAboveBytes = size_t{8} << 20;
constexpr int kLaneNice = -10;
// A train this long takes tens of microseconds on any wire: more exactly its release need not be
// met, and waking up for each of its kind would take the CPU from its sender: while such come and
// go, the lane looks for more only so often (Waiter::kNapNs).
constexpr size_t kTrainBytes = size_t{16} << 10;
constexpr uint32_t kWakeDevice = 0;

void Add(__u64* counter, uint64_t amount) { __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED); }

}  // namespace

StatusOr<std::unique_ptr<Lane>> Lane::Start(fl_counters* counters, DelayTimes* delay_times,
                                            const fl_lane_prefix* parked, fl_tables* tables,
                                            const fl_lease* lease) {
  std::unique_ptr<Lane> lane(new Lane(counters, delay_times, parked, tables, lease));
  lane->epoll_ = bpf::UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  lane->wake_event_ = bpf::UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = kWakeDevice;
  if (!lane->epoll_.valid() || !lane->wake_event_.valid() ||
      epoll_ctl(lane->epoll_.get(), EPOLL_CTL_ADD, lane->wake_event_.get(), &event) != 0) {
    return MakeError(StatusCode::kInternal, "starting the delay lane failed: {}", ErrnoText(errno));
  }
  lane->thread_ = std::thread([raw = lane.get()] { raw->Run(); });
  return lane;
}

Lane::~Lane() {
  for (unsigned rule = 0; rule < FL_MAX_RULES; ++rule) {
    if (rules_[rule].active) ClearRule(rule);
  }
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_event_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

StatusOr<unsigned> Lane::AddDevice(int fd, uint32_t netns) {
  const std::lock_guard lock(mutex_);
  if (tables_->lane_cuts != 0) FL_RETURN_IF_ERROR(SetWholeFrames(fd, false));
  const unsigned device = next_device_++;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = device;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return MakeError(StatusCode::kInternal, "the lane cannot serve a device: {}", ErrnoText(errno));
  }
  devices_[device] = {fd, netns};
  return device;
}

void Lane::RemoveDevice(unsigned device) {
  const std::lock_guard lock(mutex_);
  ReadFrames(device, kDrainFrames);
  for (auto& frame : queue_.TakeAll()) {
    if (frame->lane == device) {
      frame->cut_short = true;
      WriteOut(std::move(frame));
    } else {
      Hold(std::move(frame));
    }
  }
  DropDevice(device);
}

void Lane::DropDevice(unsigned device) {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  devices_.erase(found);
}

void Lane::SetRule(unsigned rule, unsigned hook, const LaneRule& what, uint64_t deadline_ns) {
  {
    const std::lock_guard lock(mutex_);
    rules_[rule] = Rule{.active = true,
                        .hook = hook,
                        .what = what,
                        .armed = ++rules_armed_,
                        .deadline_ns = deadline_ns};
  }
  TellDevices();
}

void Lane::TellDevices() {
  std::map<unsigned, Device> devices;
  bool cut = false;
  {
    const std::lock_guard lock(mutex_);
    for (const Rule& rule : rules_) cut |= rule.active && NeedsSinglePackets(rule.what);
    if (cut == (tables_->lane_cuts != 0)) return;
    __atomic_store_n(&tables_->lane_cuts, cut ? 1 : 0, __ATOMIC_RELEASE);
    devices = devices_;
  }
  // One that has gone needs nothing any more.
  for (const auto& [number, device] : devices) (void)SetWholeFrames(device.fd, !cut);
}

void Lane::SetDeadline(unsigned rule, uint64_t deadline_ns) {
  const std::lock_guard lock(mutex_);
  rules_[rule].deadline_ns = deadline_ns;
}

void Lane::ClearRule(unsigned rule) {
  std::unique_lock lock(mutex_);
  const uint64_t next_ns = queue_.NextReleaseNs();
  rules_[rule].active = false;
  // What still waits in the devices was matched before: it goes out with the rest.
  const auto devices = devices_;
  for (const auto& [number, device] : devices) ReadFrames(number, kDrainFrames);
  const uint64_t now_ns = BoottimeNowNs();
  for (auto& frame : queue_.TakeAll()) {
    const auto begin = frame->rules.begin(), end = begin + frame->rule_count;
    const auto mine = std::find_if(begin, end, [&](const HeldRule& r) { return r.rule == rule; });
    if (mine == end) {
      Hold(std::move(frame));  // anew: it may have waited for others of its flow
    } else if (frame->rule_count == 1 && !queue_.Holds(frame->flow)) {
      frame->cut_short = true;
      WriteOut(std::move(frame));
    } else {
      frame->asked_ns -= mine->delay_ns;
      std::move(mine + 1, end, mine);
      --frame->rule_count;
      frame->cut_short = frame->t0_ns + frame->asked_ns < now_ns;
      Hold(std::move(frame));
    }
  }
  WakeFor(next_ns);
  lock.unlock();
  TellDevices();
}

faults::DriverLoad Lane::Load() {
  const std::lock_guard lock(mutex_);
  return {queue_.held_bytes(), queue_.size()};
}

void Lane::CountLosses() {
  const std::lock_guard lock(mutex_);
  std::array<uint64_t, FL_MAX_RULES> sent{};
  for (unsigned i = 0; i < FL_MAX_RULES; ++i) {
    if (!rules_[i].active) continue;
    const uint64_t all = __atomic_load_n(&counters_[i].acted, __ATOMIC_ACQUIRE);
    const uint64_t elsewhere = __atomic_load_n(&counters_[i].fq_sent, __ATOMIC_ACQUIRE);
    sent[i] = all > elsewhere ? all - elsewhere : 0;
  }
  const auto devices = devices_;
  const uint64_t next_ns = queue_.NextReleaseNs();
  bool drained = true;
  for (const auto& [number, device] : devices)
    drained = drained && ReadFrames(number, kDrainFrames);
  WakeFor(next_ns);
  if (!drained) return;
  for (unsigned i = 0; i < FL_MAX_RULES; ++i) {
    Rule& rule = rules_[i];
    if (!rule.active) continue;
    // Counted and not yet queued is possible for an instant: only what is missing twice is lost.
    const uint64_t missing = sent[i] > rule.frames_read ? sent[i] - rule.frames_read : 0;
    const uint64_t lost = std::min(missing, rule.missing);
    rule.missing = missing;
    if (lost <= rule.losses) continue;
    Add(&counters_[i].lane_dropped, lost - rule.losses);
    rule.losses = lost;
  }
}

void Lane::WakeFor(uint64_t slept_until_ns) {
  if (queue_.NextReleaseNs() < slept_until_ns) eventfd_write(wake_event_.get(), 1);
}

void Lane::Run() {
  pthread_setname_np(pthread_self(), "fl-lane");
  prctl(PR_SET_TIMERSLACK, 1UL);
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLaneNice);
  Waiter waiter;
  std::array<epoll_event, 64> events{};
  bool held_much = false;
  while (true) {
    const int ready = epoll_wait(epoll_.get(), events.data(), events.size(), 0);
    bool drained = ready > 0;
    uint64_t next_ns = 0;
    size_t next_bytes = 0;
    {
      const std::lock_guard lock(mutex_);
      for (int i = 0; i < ready; ++i) {
        if (events[i].data.u32 == kWakeDevice) {
          if (stopping_) return;
          eventfd_t times = 0;
          eventfd_read(wake_event_.get(), &times);
        } else {
          drained &= ReadFrames(events[i].data.u32, kBatchFrames);
        }
      }
      ReleaseDue();
      next_ns = queue_.NextReleaseNs();
      if (queue_.size() > 0) next_ns = std::min(next_ns, BoottimeNowNs() + kLeaseLookNs);
      next_bytes = queue_.NextBytes();
      held_much |= queue_.held_bytes() > kTrimAboveBytes;
      if (held_much && queue_.size() == 0) {
        input_.Trim();
        malloc_trim(0);
        held_much = false;
      }
    }
    if (drained && next_bytes >= kTrainBytes) {
      Waiter::Nap(next_ns);
    } else {
      waiter.WaitUntil(epoll_.get(), next_ns);
    }
  }
}

bool Lane::ReadFrames(unsigned device, unsigned limit) {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return true;
  for (unsigned i = 0; i < limit; ++i) {
    const ssize_t got = input_.Read(found->second.fd);
    if (got > 0) {
      Admit(device, found->second);
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else {
      // Anything but "nothing now" means that the device has gone, its namespace for instance.
      if (got == 0 || errno != EAGAIN) DropDevice(device);
      return true;
    }
  }
  return false;
}

}  // namespace faultline::network
