#include "sim/network.h"

namespace faultline::sim {
namespace {

constexpr uint64_t kLateNs = kSecond;
// A connection that moves nothing for so long is given up: keep-alive.
constexpr uint64_t kPatienceNs = 3 * kSecond;
constexpr uint64_t kRetryNs = 20 * kMs;
// The end of a process is noticed by the other end's system within this time.
constexpr uint64_t kLookNs = 100 * kMs;

}  // namespace

uint64_t Network::Delay() {
  if (world_->Chance(faults.late)) {
    world_->Count("messages late");
    return world_->Between(0, kLateNs);
  }
  return world_->Between(faults.min_delay_ns, faults.max_delay_ns);
}

void Network::Deliver(HostId from, HostId to, uint64_t after_ns, std::function<void()> arrive) {
  // Looked up at arrival, so that a process that was started meanwhile gets it too.
  world_->At(kNowhere, world_->now_ns() + after_ns, [this, from, to, arrive = std::move(arrive)] {
    if (!world_->IsUp(to)) return;
    if (IsCut(from, to)) return world_->Count("messages over cut links");
    world_->At(to, world_->now_ns(), arrive);
  });
}

void Network::Send(HostId from, HostId to, std::function<void()> arrive) {
  if (!world_->IsUp(from)) return;
  if (world_->Chance(faults.loss)) return world_->Count("messages lost");
  if (world_->Chance(faults.duplicate)) {
    world_->Count("messages doubled");
    Deliver(from, to, Delay(), arrive);
  }
  Deliver(from, to, Delay(), std::move(arrive));
}

void Network::SendOnce(HostId from, HostId to, std::function<void()> arrive) {
  if (!world_->IsUp(from)) return;
  Deliver(from, to, Delay(), std::move(arrive));
}

Connection::Connection(World* world, Network* network, HostId one, HostId other)
    : world_(world), network_(network) {
  ends_[0] = {one, world->LifeOf(one), nullptr};
  ends_[1] = {other, world->LifeOf(other), nullptr};
}

void Connection::OnBroken(int end, std::function<void()> broken) {
  ends_[end].on_broken = std::move(broken);
}

void Connection::Watch() {
  world_->At(kNowhere, world_->now_ns() + kLookNs, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->broken_) return;
    if (self->EndIsGone()) return self->Fail();
    self->Watch();
  });
}

bool Connection::EndIsGone() const {
  return world_->LifeOf(ends_[0].host) != ends_[0].life ||
         world_->LifeOf(ends_[1].host) != ends_[1].life;
}

void Connection::Fail() {
  broken_ = true;
  Tell(0);
  Tell(1);
}

void Connection::Send(int from_end, std::function<void()> arrive) {
  if (broken_ || world_->LifeOf(ends_[from_end].host) != ends_[from_end].life) return;
  directions_[from_end].under_way.push_back(std::move(arrive));
  Move(from_end);
}

void Connection::Move(int from_end) {
  Direction& direction = directions_[from_end];
  if (direction.moving || direction.under_way.empty()) return;
  direction.moving = true;
  const uint64_t delay =
      world_->Between(network_->faults.min_delay_ns, network_->faults.max_delay_ns);
  world_->At(kNowhere, world_->now_ns() + delay,
             [self = shared_from_this(), from_end] { self->Arrive(from_end); });
}

void Connection::Arrive(int from_end) {
  if (broken_) return;
  Direction& direction = directions_[from_end];
  const End& from = ends_[from_end];
  const End& to = ends_[1 - from_end];
  if (EndIsGone()) return Fail();
  if (network_->IsCut(from.host, to.host)) {
    if (direction.stuck_since_ns == 0) direction.stuck_since_ns = world_->now_ns();
    if (world_->now_ns() - direction.stuck_since_ns > kPatienceNs) return Fail();
    world_->At(kNowhere, world_->now_ns() + kRetryNs,
               [self = shared_from_this(), from_end] { self->Arrive(from_end); });
    return;
  }
  direction.stuck_since_ns = 0;
  direction.moving = false;
  world_->At(to.host, world_->now_ns(), std::move(direction.under_way.front()));
  direction.under_way.pop_front();
  Move(from_end);
}

void Connection::Tell(int end) {
  if (!ends_[end].on_broken || world_->LifeOf(ends_[end].host) != ends_[end].life) return;
  world_->At(ends_[end].host, world_->now_ns() + world_->Between(0, kMs),
             std::exchange(ends_[end].on_broken, nullptr));
}

void Connection::Break(int end) {
  if (std::exchange(broken_, true)) return;
  ends_[end].on_broken = nullptr;
  // Over a cut link the other end hears nothing until it gives up by itself.
  const bool cut = network_->IsCut(ends_[end].host, ends_[1 - end].host);
  world_->At(kNowhere, world_->now_ns() + (cut ? kPatienceNs : kMs),
             [self = shared_from_this(), end] { self->Tell(1 - end); });
}

}  // namespace faultline::sim
