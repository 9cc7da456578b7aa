// Many subscribers to metrics, each over a connection of its own, and what they received.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/status.h"
#include "chaos/v1/chaos.pb.h"
#include "rpc/endpoint.h"

namespace faultline::bench {

class Subscribers {
 public:
  // What came since Clear.
  struct Received {
    Histogram age;  // from the update's timestamp to its receipt
    uint64_t updates = 0, merged = 0, bytes = 0;
  };

  // They subscribe at `addresses` in turn.
  Subscribers(int count, const chaos::v1::SubscribeToMetricsRequest& request,
              const std::vector<std::string>& addresses, const rpc::TlsFiles& tls);
  ~Subscribers();

  // Subscribers that have received something.
  int reached() const;
  Received received() const;
  void Clear();
  // Batches that the first subscriber's updates stand for, by agent; and the newest sequence.
  struct Seen {
    uint64_t batches = 0, newest = 0, missed = 0;
  };
  std::map<std::string, Seen> seen() const;

 private:
  class Subscriber;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
};

}  // namespace faultline::bench
