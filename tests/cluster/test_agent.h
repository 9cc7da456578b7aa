// An agent without a kernel: speaks AgentService for real, arms nothing, and remembers what it was
// told. Goes on to the next address when its stream ends, as agents do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "chaos/v1/agent.grpc.pb.h"
#include "rpc/endpoint.h"

namespace faultline::cluster {

class TestAgent {
 public:
  struct Options {
    std::string id = "host";
    uint64_t incarnation = 1;
    std::vector<std::string> controllers;
    rpc::TlsFiles tls = {};
    std::chrono::milliseconds renew_every{100};
    bool can_delay = true;
    // The first is "<id>/checkout", the others "<id>/checkout-2" and so on, all with its labels.
    int targets = 1;
    // Reports nothing: like an agent that hangs while its connection stands.
    bool silent = false;
    // A node that has granted no lease for so long is left for the next, as agents do; 0: never.
    std::chrono::milliseconds leave_after{0};
  };
  // Targets have the labels service:checkout, version:v1.
  explicit TestAgent(Options options);
  // Cuts the stream.
  ~TestAgent();

  // Sends a batch of one sample: `count` requests in one histogram bucket. Sequence as given.
  bool SendMetrics(uint64_t sequence, const std::string& experiment_id, uint32_t bucket,
                   uint64_t count);

  // A batch as it is, in this agent's name.
  bool SendBatch(chaos::v1::MetricsBatch batch);

  std::string target_id() const { return options_.id + "/checkout"; }
  std::vector<std::string> target_ids() const;
  bool connected() const { return connected_; }
  size_t grants() const;
  // How often a grant came after the lease of the one before had run out.
  size_t lapses() const;
  // CLOCK_BOOTTIME of the arrival of the newest grant; 0 when there was none.
  uint64_t last_grant_ns() const;
  // CLOCK_BOOTTIME of the end of the lease that it gave; UINT64_MAX when there was none.
  uint64_t lease_end_ns() const;
  chaos::v1::LeaseGrant last_grant() const;
  // Faults desired as last told.
  size_t desired() const;
  chaos::v1::DesiredState last_desired() const;
  std::string cluster_id() const;

 private:
  using Stream = grpc::ClientReaderWriter<chaos::v1::ConnectRequest, chaos::v1::ConnectResponse>;

  void Run();
  void Serve(const std::string& address);
  void Renew(Stream* stream);
  void LeaveWhenSilent(uint64_t begun_ns);
  void Take(const chaos::v1::ConnectResponse& response);
  void Report(const chaos::v1::DesiredState& desired);
  bool Write(const chaos::v1::ConnectRequest& request);
  chaos::v1::Agent Self() const;

  const Options options_;
  std::atomic<bool> ending_{false};
  std::atomic<bool> connected_{false};
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  grpc::ClientContext* context_ = nullptr;
  size_t grants_ = 0;
  size_t lapses_ = 0;
  uint64_t lease_end_ns_ = UINT64_MAX;  // CLOCK_BOOTTIME
  uint64_t last_grant_ns_ = 0;
  chaos::v1::LeaseGrant last_grant_;
  chaos::v1::DesiredState desired_;
  chaos::v1::FaultReports reports_;
  std::string cluster_id_;
  std::mutex write_mutex_;
  Stream* stream_ = nullptr;  // guarded by write_mutex_
  std::thread thread_;
};

}  // namespace faultline::cluster
