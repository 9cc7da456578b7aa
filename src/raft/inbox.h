// What others bring to a node, worked off by one thread at a time: by whoever brings something
// while nobody is at work, so that nobody has to be woken for it.
//
// Threads: every method may be called from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/strand.h"
#include "raft/node.h"

namespace faultline::raft {

class Inbox {
 public:
  struct Brought {
    struct Proposal {
      std::string command;
      Node::ProposeDone done;
      uint64_t deadline_ns;
    };
    struct Message {
      uint64_t from_id;
      std::string bytes;
    };
    std::vector<Message> messages;
    std::vector<Proposal> proposals;
    std::vector<std::function<void(Status)>> readers;
    std::vector<std::function<void()>> tasks;

    bool empty() const {
      return messages.empty() && proposals.empty() && readers.empty() && tasks.empty();
    }
  };

  // `work` runs without a lock held, on one thread at a time, and may bring more. `own` goes on
  // with the work that other threads have no time for; both outlive the inbox.
  Inbox(Strand* own, std::function<void(Brought)> work) : own_(own), work_(std::move(work)) {}

  // `add` puts something into what was brought. Works it off here, with what comes meanwhile,
  // unless somebody is at work, who does it then.
  template <typename Add>
  void Bring(Add add) {
    std::unique_lock lock(mutex_);
    add(brought_);
    WorkOff(lock);
  }

  void WaitUntilIdle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return !at_work_; });
  }

 private:
  // How often a thread that is not the node's works off what others have brought.
  static constexpr int kRounds = 4;

  void WorkOff(std::unique_lock<std::mutex>& lock) {
    if (std::exchange(at_work_, true)) return;
    for (int rounds = 0; !brought_.empty(); ++rounds) {
      // Others may wait for a thread that came with something of its own.
      if (rounds == kRounds && !own_->OnStrand()) {
        own_->Post([this] {
          std::unique_lock own_lock(mutex_);
          WorkOff(own_lock);
        });
        break;
      }
      Brought brought = std::exchange(brought_, {});
      lock.unlock();
      work_(std::move(brought));
      lock.lock();
    }
    at_work_ = false;
    idle_.notify_all();
  }

  Strand* const own_;
  const std::function<void(Brought)> work_;
  std::mutex mutex_;
  Brought brought_;
  bool at_work_ = false;
  std::condition_variable idle_;  // at_work_ has become false
};

}  // namespace faultline::raft
