#include "sim/world.h"

#include <algorithm>
#include <utility>

namespace faultline::sim {
namespace {

constexpr size_t kKeptNotes = 300;
constexpr int64_t kUnixStartNs = 1'700'000'000'000'000'000;
// Quartz is wrong by less than this.
constexpr uint64_t kMaxDriftPpm = 200;

World* the_world = nullptr;

}  // namespace

World::World(uint64_t seed) : random_(seed) { the_world = this; }

World::~World() {
  // Tasks may hold the last references to what looks at the clock.
  while (!events_.empty()) events_.pop();
  the_world = nullptr;
}

World* World::current() { return the_world; }

bool World::Chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1.0p-53 < probability;
}

uint64_t World::Between(uint64_t low, uint64_t high) { return low + random_() % (high - low + 1); }

HostId World::AddHost(const std::string& name) {
  Host& host = hosts_.emplace_back();
  host.name = name;
  host.boot_ns = Between(10, 100'000) * kSecond;
  host.rate = 1.0 + (static_cast<double>(Between(0, 2 * kMaxDriftPpm)) - kMaxDriftPpm) / 1e6;
  return hosts_.size() - 1;
}

void World::On(HostId host, const std::function<void()>& task) {
  const HostId before = std::exchange(here_, host);
  task();
  here_ = before;
}

uint64_t World::BoottimeNs(HostId host) const {
  return hosts_[host].boot_ns +
         static_cast<uint64_t>(static_cast<double>(now_ns()) * hosts_[host].rate);
}

int64_t World::UnixNs(HostId host) const {
  return kUnixStartNs + static_cast<int64_t>(now_ns()) + hosts_[host].unix_off_ns;
}

void World::Pause(HostId host, uint64_t until_ns) {
  hosts_[host].paused_until_ns = until_ns;
  if (until_ns <= now_ns_) return Release(host);
  At(kNowhere, until_ns, [this, host] { Release(host); });
}

void World::Release(HostId host) {
  if (hosts_[host].paused_until_ns > now_ns_) return;  // paused again
  for (Event& event : std::exchange(hosts_[host].held, {})) {
    event.time_ns = now_ns_;
    Push(std::move(event));
  }
}

void World::BeginLife(HostId host) {
  ++hosts_[host].life;
  hosts_[host].up = true;
  hosts_[host].paused_until_ns = 0;
}

void World::EndLife(HostId host) {
  ++hosts_[host].life;
  hosts_[host].up = false;
}

void World::Push(Event event) {
  event.order = order_++;
  events_.push(std::move(event));
}

void World::At(HostId host, uint64_t time_ns, std::function<void()> task) {
  const uint64_t life = host == kNowhere ? 0 : hosts_[host].life;
  Push({std::max(time_ns, now_ns()), 0, host, life, std::move(task)});
}

void World::RunNext() {
  Event event = std::move(const_cast<Event&>(events_.top()));
  events_.pop();
  now_ns_ = std::max(now_ns_, event.time_ns);
  if (event.host != kNowhere) {
    Host& host = hosts_[event.host];
    if (event.life != host.life) return;
    if (host.paused_until_ns > now_ns_) return host.held.push_back(std::move(event));
  }
  here_ = event.host;
  event.run();
  digest_ = (digest_ ^ event.order ^ now_ns_ ^ random_()) * 0x100000001b3ULL;
  here_ = kNowhere;
  spent_ns_ = 0;
}

bool World::RunUntil(uint64_t time_ns, const std::function<bool()>& done) {
  while (!events_.empty() && events_.top().time_ns <= time_ns) {
    RunNext();
    if (done && done()) return true;
  }
  now_ns_ = std::max(now_ns_, time_ns);
  return false;
}

void World::AddNote(std::string text) {
  notes_.push_back(fmt::format("{:9.3f} ms  {:<6} {}",
                               static_cast<double>(now_ns() - kSecond) / static_cast<double>(kMs),
                               here_ == kNowhere ? "" : hosts_[here_].name, std::move(text)));
  if (notes_.size() > kKeptNotes) notes_.pop_front();
}

std::string World::Transcript() const {
  std::string text;
  for (const std::string& note : notes_) text += note + "\n";
  return text;
}

}  // namespace faultline::sim
