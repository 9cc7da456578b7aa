// One thread that owns a component's state: others post work to it. Boost.Asio underneath.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace faultline {

class Strand {
 public:
  // Limit of tasks posted and not yet run; constructed for each strand's load.
  static constexpr size_t kDefaultLimit = 65'536;

  // Starts the thread. `name` (at most 15 characters) is shown by ps and gdb.
  explicit Strand(const std::string& name, size_t limit = kDefaultLimit);
  // Stops and joins: tasks not yet run are destroyed unrun. Never call from the strand itself.
  ~Strand();
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  // Runs `task` on the strand, after all posted before it. From any thread. Returns false, and
  // drops the task, when the limit is reached or the strand has stopped.
  bool Post(std::function<void()> task);

  // Runs `task` on the strand once `delay` has passed. From any thread. Not counted in the limit.
  void PostAfter(std::chrono::nanoseconds delay, std::function<void()> task);

  // Runs `task` on the strand and waits for it. Never call from the strand itself.
  // Returns false when the strand has stopped: the task has then not run and will not.
  bool Run(std::function<void()> task);

  // True on the strand's own thread.
  bool OnStrand() const;

  // Ends the thread after the task that is running; what the destructor does, earlier.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline
