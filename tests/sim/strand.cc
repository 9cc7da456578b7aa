// base/strand.h over a simulated world: each strand runs its tasks one after the other, in order,
// soon after they were posted; never two at a time, and never within one another.
#include "base/strand.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "sim/world.h"

namespace faultline {
namespace {

// How long a thread takes to wake up.
constexpr uint64_t kMaxWakeNs = 30 * sim::kUs;

}  // namespace

struct Strand::Impl {
  struct Tasks {
    std::deque<std::function<void()>> waiting;
    uint64_t free_at_ns = 0;
    bool running = false;
    bool stopped = false;
  };

  void Wake(uint64_t time_ns) const {
    world->At(host, time_ns, [world = world, host = host, weak = std::weak_ptr(tasks)] {
      if (const auto locked = weak.lock()) RunOne(world, host, locked);
    });
  }

  static void RunOne(sim::World* world, sim::HostId host, const std::shared_ptr<Tasks>& tasks) {
    if (tasks->stopped || tasks->waiting.empty()) return;
    if (tasks->free_at_ns > world->now_ns()) {
      return world->At(host, tasks->free_at_ns,
                       [world, host, tasks] { RunOne(world, host, tasks); });
    }
    const auto task = std::move(tasks->waiting.front());
    tasks->waiting.pop_front();
    const bool outer = std::exchange(tasks->running, true);
    task();
    tasks->running = outer;
    tasks->free_at_ns = world->now_ns();
  }

  sim::World* world = sim::World::current();
  sim::HostId host = world->here();
  uint64_t life = world->LifeOf(host);
  size_t limit = 0;
  std::shared_ptr<Tasks> tasks = std::make_shared<Tasks>();
};

Strand::Strand(const std::string&, size_t limit) : impl_(std::make_unique<Impl>()) {
  impl_->limit = limit;
}

Strand::~Strand() { Stop(); }

void Strand::Stop() {
  impl_->tasks->stopped = true;
  impl_->tasks->waiting.clear();
}

bool Strand::Post(std::function<void()> task) {
  Impl::Tasks& tasks = *impl_->tasks;
  if (tasks.stopped || impl_->world->LifeOf(impl_->host) != impl_->life ||
      tasks.waiting.size() >= impl_->limit) {
    return false;
  }
  if (impl_->world->spent_ns() == 0) {
    tasks.waiting.push_back(std::move(task));
    impl_->Wake(impl_->world->now_ns() + impl_->world->Between(0, kMaxWakeNs));
    return true;
  }
  // Whoever posts has spent time since its event began: the task comes after that.
  PostAfter(std::chrono::nanoseconds(impl_->world->Between(0, kMaxWakeNs)), std::move(task));
  return true;
}

void Strand::PostAfter(std::chrono::nanoseconds delay, std::function<void()> task) {
  if (impl_->tasks->stopped) return;
  const uint64_t due_ns =
      impl_->world->now_ns() + static_cast<uint64_t>(std::max<int64_t>(0, delay.count()));
  impl_->world->At(impl_->host, due_ns,
                   [world = impl_->world, host = impl_->host, task = std::move(task),
                    weak = std::weak_ptr(impl_->tasks)]() mutable {
                     const auto tasks = weak.lock();
                     if (!tasks || tasks->stopped) return;
                     tasks->waiting.push_back(std::move(task));
                     Impl::RunOne(world, host, tasks);
                   });
}

bool Strand::Run(std::function<void()> task) {
  Impl::Tasks& tasks = *impl_->tasks;
  if (tasks.stopped) return false;
  // A process that was killed runs nothing more of what waits.
  const bool alive = impl_->world->LifeOf(impl_->host) == impl_->life;
  while (alive && !tasks.waiting.empty()) {
    const auto before = std::move(tasks.waiting.front());
    tasks.waiting.pop_front();
    before();
  }
  const bool outer = std::exchange(tasks.running, true);
  task();
  tasks.running = outer;
  return true;
}

bool Strand::OnStrand() const { return impl_->tasks->running; }

}  // namespace faultline
