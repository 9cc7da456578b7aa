// A client that writes all the time.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/group.h"

namespace faultline::cluster {

// Stops experiments that are not there, one call after another, as long as it lives: each is a
// command in the log. Retries are the client's own.
class Writer {
 public:
  explicit Writer(const Group& group) : client_(group.Connect()), thread_([this] { Run(); }) {}
  ~Writer() { Stop(); }
  void Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int written() const { return written_; }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void Run() {
    chaos::v1::StopExperimentRequest request;
    request.set_all(true);
    while (!stopping_) {
      const auto answer = client_->StopExperiment(request);
      if (answer.ok()) {
        ++written_;
      } else {
        failures_.push_back(answer.status().ToString());
      }
    }
  }

  std::unique_ptr<client::Client> client_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> written_{0};
  std::vector<std::string> failures_;
  std::thread thread_;
};

}  // namespace faultline::cluster
