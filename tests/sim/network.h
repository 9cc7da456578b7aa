// The network between a world's hosts: what is sent may be lost, late, doubled and out of order;
// links may be cut, in one direction too.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "sim/world.h"

namespace faultline::sim {

struct NetworkFaults {
  double loss = 0;
  double duplicate = 0;
  double late = 0;  // arrives after up to a second
  uint64_t min_delay_ns = 50 * kUs;
  uint64_t max_delay_ns = 2 * kMs;
};

class Network {
 public:
  explicit Network(World* world) : world_(world) {}

  NetworkFaults faults;

  void Cut(HostId from, HostId to) { cut_.insert({from, to}); }
  void MendAll() { cut_.clear(); }
  bool IsCut(HostId from, HostId to) const { return cut_.contains({from, to}); }

  // One message: `arrive` runs at the receiver, if it is up by then and the link is not cut; never,
  // once or twice, at any time.
  void Send(HostId from, HostId to, std::function<void()> arrive);

  // Part of a call over a connection: never doubled; not lost by chance, since it would be sent
  // again, but late. Does not arrive over a cut link, nor when the sender's life has ended before.
  void SendOnce(HostId from, HostId to, std::function<void()> arrive);

 private:
  uint64_t Delay();
  void Deliver(HostId from, HostId to, uint64_t after_ns, std::function<void()> arrive);

  World* const world_;
  std::set<std::pair<HostId, HostId>> cut_;
};

// A connection that carries messages in order, both ways, until it breaks. A cut link holds it up;
// for too long, and it breaks. One end is on each of two hosts.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct End {
    HostId host = kNowhere;
    uint64_t life = 0;
    std::function<void()> on_broken;
  };
  Connection(World* world, Network* network, HostId one, HostId other);
  // Once, after the constructor: notices when a process at an end dies.
  void Watch();

  // 0 or 1. Runs once, on that end's host, when the connection has broken, unless that end broke
  // it.
  void OnBroken(int end, std::function<void()> broken);
  // `arrive` runs at the other end.
  void Send(int from_end, std::function<void()> arrive);
  // That end lets go; the other hears of it, later.
  void Break(int end);
  bool broken() const { return broken_; }

 private:
  struct Direction {
    std::deque<std::function<void()>> under_way;
    bool moving = false;
    uint64_t stuck_since_ns = 0;  // 0: it moves
  };
  void Move(int from_end);
  void Arrive(int from_end);
  void Tell(int end);
  bool EndIsGone() const;
  void Fail();

  World* const world_;
  Network* const network_;
  End ends_[2];
  Direction directions_[2];
  bool broken_ = false;
};

}  // namespace faultline::sim
