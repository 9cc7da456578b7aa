// A world in one thread: hosts with clocks, strands and a network, all of whose time and chance one
// seed decides. The same seed gives the same run.
//
// What runs in it is the product's own code, unchanged. Four seams are filled at link time:
// base/strand.h (strand.cc here: tasks on the world's queue instead of threads), the system's
// clocks (clock.cc here: clock_gettime answers with the clock of the host that runs),
// base/random.h (random.cc here) and raft/log_store.h (disk.cc here).
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::sim {

using HostId = size_t;
inline constexpr HostId kNowhere = SIZE_MAX;  // the world itself: clients' ends, faults, referee

inline constexpr uint64_t kUs = 1'000;
inline constexpr uint64_t kMs = 1'000'000;
inline constexpr uint64_t kSecond = 1'000'000'000;

class World {
 public:
  explicit World(uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The world whose events run; one at a time in a process.
  static World* current();

  bool Chance(double probability);
  // Any number, all alike.
  uint64_t Number() { return random_(); }
  // Both ends are possible.
  uint64_t Between(uint64_t low, uint64_t high);

  // True time, that of no host: since the beginning, with what the running task has spent.
  uint64_t now_ns() const { return now_ns_ + spent_ns_; }
  // The running task takes so long: what it does from here on happens later.
  void Spend(uint64_t duration_ns) { spent_ns_ += duration_ns; }
  uint64_t spent_ns() const { return spent_ns_; }

  HostId AddHost(const std::string& name);
  const std::string& NameOf(HostId host) const { return hosts_[host].name; }
  // On whose behalf code runs at the moment.
  HostId here() const { return here_; }
  // Runs `task` now, on the host's behalf.
  void On(HostId host, const std::function<void()>& task);

  // What a host's clocks show.
  uint64_t BoottimeNs(HostId host) const;
  int64_t UnixNs(HostId host) const;
  // Sets the host's Unix clock wrong by so much.
  void StepUnixClock(HostId host, int64_t off_by_ns) { hosts_[host].unix_off_ns = off_by_ns; }

  // A process on the host begins; nothing that an earlier one left on the queue will run.
  void BeginLife(HostId host);
  void EndLife(HostId host);
  bool IsUp(HostId host) const { return hosts_[host].up; }
  uint64_t LifeOf(HostId host) const { return hosts_[host].life; }
  // Nothing runs there until then, as after SIGSTOP; 0 ends a pause.
  void Pause(HostId host, uint64_t until_ns);

  // Runs `task` at that time on the host's behalf, unless the host's present life has ended.
  void At(HostId host, uint64_t time_ns, std::function<void()> task);

  // Runs what is due until then, or until `done`, looked at after each event.
  bool RunUntil(uint64_t time_ns, const std::function<bool()>& done);

  // A line of the transcript; only the last ones are kept.
  template <typename... Args>
  void Note(fmt::format_string<Args...> format, Args&&... args) {
    AddNote(fmt::format(format, std::forward<Args>(args)...));
  }
  // Counts that `what`, a literal, has happened: runs must show that they did what they are for.
  void Count(std::string_view what) { ++counts_[what]; }
  const std::map<std::string_view, uint64_t>& counts() const { return counts_; }
  // The transcript's end, for a person to read.
  std::string Transcript() const;
  uint64_t events() const { return order_; }
  // Equal for equal runs.
  uint64_t digest() const { return digest_; }

 private:
  struct Event {
    uint64_t time_ns;
    uint64_t order;
    HostId host;
    uint64_t life;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return time_ns != other.time_ns ? time_ns > other.time_ns : order > other.order;
    }
  };
  struct Host {
    std::string name;
    uint64_t boot_ns = 0;     // what the boot-time clock showed at the beginning
    double rate = 1.0;        // of its clocks, against true time
    int64_t unix_off_ns = 0;  // how wrong its Unix clock is
    uint64_t life = 0;
    bool up = false;
    uint64_t paused_until_ns = 0;
    std::vector<Event> held;  // what was due during the pause
  };
  void Push(Event event);
  void RunNext();
  void Release(HostId host);
  void AddNote(std::string text);

  std::mt19937_64 random_;
  std::vector<Host> hosts_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t now_ns_ = kSecond;
  uint64_t spent_ns_ = 0;
  uint64_t order_ = 0;
  uint64_t digest_ = 0;
  HostId here_ = kNowhere;
  std::deque<std::string> notes_;
  std::map<std::string_view, uint64_t> counts_;
};

}  // namespace faultline::sim
