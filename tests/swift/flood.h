// An agent played by the test whose targets are measured at a fixed rate: many updates a second.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/test_agent.h"

namespace faultline::swift {

class Flood {
 public:
  // Connects; `targets` targets with the labels of TestAgent.
  Flood(std::vector<std::string> controllers, int targets);
  ~Flood();

  bool connected() const { return agent_.connected(); }
  // One batch `hz` times a second from now on, with a sample of every target under that experiment:
  // targets * hz updates.
  void Begin(const std::string& experiment_id, double hz);
  // Result: batches sent.
  uint64_t Stop();

 private:
  void Send(const std::string& experiment_id, double hz);

  cluster::TestAgent agent_;
  std::atomic<bool> stopping_{false};
  uint64_t sequence_ = 0;  // the sender's while it runs
  std::thread sender_;
};

}  // namespace faultline::swift
