// Clients that stay on their streams while nodes come and go, and what they must have got.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/client.h"
#include "rpc/endpoint.h"

namespace faultline::cluster {

// A client with all the patience that a test has; `addresses` as client::Options takes them.
std::unique_ptr<client::Client> ClientOf(const std::string& addresses,
                                         const rpc::TlsFiles& tls = {});

struct Arrival {
  chaos::v1::MetricUpdate update;
  uint64_t at_ns;  // CLOCK_MONOTONIC
};

// Reads the metrics of an experiment by the client library, in a thread of its own.
class Subscriber {
 public:
  // `addresses` as client::Options takes them: the first is asked first.
  Subscriber(const std::string& addresses, const std::string& experiment_id,
             const rpc::TlsFiles& tls = {});
  ~Subscriber() { End(); }
  void End();

  uint64_t newest() const;  // sequence; 0: nothing yet
  std::vector<Arrival> arrivals() const;

 private:
  const std::unique_ptr<client::Client> client_;
  const std::shared_ptr<client::Cancellation> cancellation_;
  mutable std::mutex mutex_;
  std::vector<Arrival> arrivals_;
  std::thread thread_;
};

// One on each of the nodes, which can go on at any of them.
using Subscribers = std::vector<std::unique_ptr<Subscriber>>;
Subscribers SubscribeAtEach(const std::vector<std::string>& nodes, const std::string& experiment_id,
                            const rpc::TlsFiles& tls = {});
// Waits until each has so many batches more than the one that is furthest has now.
void ExpectMore(const Subscribers& subscribers, uint64_t batches);

// Watches experiments, of which nothing is told: only pings pass.
class IdleWatcher {
 public:
  explicit IdleWatcher(const std::string& addresses);
  ~IdleWatcher() { End(); }
  // Why it was interrupted, each time that it was.
  std::vector<std::string> End();

 private:
  const std::unique_ptr<client::Client> client_;
  const std::shared_ptr<client::Cancellation> cancellation_;
  std::vector<std::string> interruptions_;  // the thread's
  std::thread thread_;
};

// What a CountingAgent's experiment tells, on one target: every update follows the one before, but
// for what it says is merged or missed; what it has counted is whole. A gap is there only where the
// stream stood still for longer than an agent keeps its batches.
void ExpectWhole(const std::vector<Arrival>& arrivals);

// The longest time from one arrival to the next since `since_ns`.
uint64_t LongestPauseNs(const std::vector<Arrival>& arrivals, uint64_t since_ns);

}  // namespace faultline::cluster
