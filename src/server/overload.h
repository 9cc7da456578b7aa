// What keeps a node's memory and its callers' patience bounded: how much may be under way at once,
// and the error that says when to come back.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"

namespace faultline::server {

// RESOURCE_EXHAUSTED with ErrorDetail.retry_after: nothing was begun.
Status Overloaded(std::string_view reason, std::string_view message,
                  std::chrono::nanoseconds retry_after);

// DEADLINE_EXCEEDED with reason TOO_LATE: the call's time was over before its work was begun.
Status TooLate();

// Things under way, counted and weighed, with a share for each client. Any thread; outlives its
// tickets.
class Gate {
 public:
  struct Limits {
    const char* what = "";    // "calls", for the error
    const char* reason = "";  // of the error
    size_t count = 0;         // at once
    size_t bytes = 0;         // of requests at once; 0: not weighed
    size_t count_of_one_client = 0;
  };
  explicit Gate(const Limits& limits) : limits_(limits) {}

  // Holds a place until it is destroyed.
  class Ticket {
   public:
    Ticket(Gate* gate, std::string client, size_t bytes, uint64_t begun_ns);
    ~Ticket();
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    Gate* const gate_;
    const std::string client_;
    const size_t bytes_;
    const uint64_t begun_ns_;
  };
  // Overloaded when there is no place. The time to come back is about what things take now.
  StatusOr<std::shared_ptr<Ticket>> Enter(const std::string& client, size_t bytes);

  size_t count() const;
  uint64_t refused() const;
  const Limits& limits() const { return limits_; }

 private:
  void Leave(const std::string& client, size_t bytes, uint64_t took_ns);
  std::chrono::nanoseconds RetryAfter() const;

  const Limits limits_;
  mutable std::mutex mutex_;
  size_t count_ = 0;
  size_t bytes_ = 0;
  std::map<std::string, size_t> count_of_;  // by client
  uint64_t usual_ns_ = 0;                   // moving average of what one thing takes
  uint64_t refused_ = 0;
};

// What may be under way on one node. A client is a certificate's name, without TLS a connection.
struct Gates {
  Gate calls{{"calls", "TOO_MANY_CALLS", 4'096, 64 << 20, 2'048}};
  Gate streams{{"streams", "TOO_MANY_STREAMS", 4'096, 0, 512}};  // watches and metrics
  Gate agents{{"agents", "TOO_MANY_AGENTS", 16'384, 0, 16'384}};
};

}  // namespace faultline::server
