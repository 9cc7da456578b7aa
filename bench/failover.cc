// How long writes stand still when the leader is killed with SIGKILL, beside etcd with the same
// election timeout and heartbeat.
//
// Three processes of each on loopback. From the kill on, a client begins a write on each of the two
// others every 5 ms, without waiting for the answers; measured is the time from the kill to the
// first acknowledgement. Ours and etcd's rounds alternate; the killed process is started again and
// has joined before the next round.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <mutex>

#include "base/clock.h"
#include "etcd_cluster.h"
#include "report.h"
#include "tests/cluster/cluster.h"
#include "writers.h"

namespace faultline::bench {
namespace {

// What raft::Options has by default, for etcd.
constexpr int kElectionTimeoutMs = 300;
constexpr int kHeartbeatMs = 50;
constexpr int kMembers = 3;
constexpr useconds_t kWriteEveryUs = 5'000;
constexpr uint64_t kPatienceNs = 20 * kNanosPerSecond;

// The first acknowledgement among many writes.
class FirstAnswer {
 public:
  LoadClient::Done Callback() {
    return [shared = shared_](const Status& status) {
      const std::lock_guard lock(shared->mutex);
      if (!status.ok() || shared->at_ns != 0) return;
      shared->at_ns = MonotonicNowNs();
      shared->changed.notify_all();
    };
  }
  // 0: not yet, after `wait_us`.
  uint64_t Wait(useconds_t wait_us) {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_for(lock, std::chrono::microseconds(wait_us),
                              [this] { return shared_->at_ns != 0; });
    return shared_->at_ns;
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t at_ns = 0;
  };
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// One kind of cluster: what a round does to it.
class Side {
 public:
  virtual ~Side() = default;
  virtual int WaitForLeader() = 0;
  virtual cluster::Process& process(int member) = 0;
  virtual void Start(int member) = 0;
  virtual std::unique_ptr<LoadClient> Client(int member) = 0;

  // Every member answers a write.
  Status WaitForAll() {
    for (int member = 0; member < kMembers; ++member) {
      const auto client = Client(member);
      FL_RETURN_IF_ERROR(client->Prepare());
      FirstAnswer answer;
      const uint64_t end_ns = MonotonicNowNs() + kPatienceNs;
      do {
        if (MonotonicNowNs() > end_ns) {
          return MakeError(StatusCode::kDeadlineExceeded, "member {} takes no writes", member);
        }
        client->Write(answer.Callback());
      } while (answer.Wait(200'000) == 0);
    }
    return absl::OkStatus();
  }

  // Milliseconds without a leader.
  StatusOr<double> Round() {
    FL_RETURN_IF_ERROR(WaitForAll());
    const int leader = WaitForLeader();
    if (leader < 0) return MakeError(StatusCode::kUnavailable, "nobody leads");
    std::vector<std::unique_ptr<LoadClient>> clients;
    for (int member = 0; member < kMembers; ++member) {
      if (member == leader) continue;
      clients.push_back(Client(member));
      FL_RETURN_IF_ERROR(clients.back()->Prepare());
    }
    FirstAnswer answer;
    const uint64_t killed_ns = MonotonicNowNs();
    process(leader).Signal(SIGKILL);
    uint64_t answered_ns = 0;
    while (answered_ns == 0) {
      if (MonotonicNowNs() > killed_ns + kPatienceNs) {
        return MakeError(StatusCode::kDeadlineExceeded, "no write after {} s",
                         kPatienceNs / kNanosPerSecond);
      }
      for (const auto& client : clients) client->Write(answer.Callback());
      answered_ns = answer.Wait(kWriteEveryUs);
    }
    process(leader).Wait();
    Start(leader);
    return static_cast<double>(answered_ns - killed_ns) / 1e6;
  }
};

class Ours final : public Side {
 public:
  int WaitForLeader() override { return cluster_.WaitForLeader(); }
  cluster::Process& process(int member) override { return cluster_.process(member); }
  void Start(int member) override { cluster_.Start(member); }
  std::unique_ptr<LoadClient> Client(int member) override {
    return StopClient(cluster_.api_address(member), {});
  }

 private:
  cluster::Cluster cluster_{{.nodes = kMembers}};
};

class Etcd final : public Side {
 public:
  int WaitForLeader() override { return cluster_.WaitForLeader(); }
  cluster::Process& process(int member) override { return cluster_.process(member); }
  void Start(int member) override { cluster_.Start(member); }
  std::unique_ptr<LoadClient> Client(int member) override {
    return std::move(PutClients(1, cluster_.address(member), {}).front());
  }

 private:
  EtcdCluster cluster_{
      {.election_timeout_ms = kElectionTimeoutMs, .heartbeat_ms = kHeartbeatMs, .tls = {}}};
};

Status Measure(Report& report, int rounds) {
  Ours ours;
  Etcd etcd;
  std::vector<double> our_ms, etcd_ms;
  for (int round = 0; round < rounds; ++round) {
    FL_ASSIGN_OR_RETURN(const double mine, ours.Round());
    FL_ASSIGN_OR_RETURN(const double theirs, etcd.Round());
    std::fprintf(stderr, "failover %d: %.0f ms (etcd %.0f ms)\n", round + 1, mine, theirs);
    our_ms.push_back(mine);
    etcd_ms.push_back(theirs);
  }
  report.AtMost("rounds", rounds, "", std::nullopt);
  for (const int percent : {0, 50, 90, 99}) {
    report.Beside(fmt::format("p{}_ms", percent), Percentile(our_ms, percent), "ms", "etcd",
                  Percentile(etcd_ms, percent));
  }
  report.AtMost("etcd_max_ms", Percentile(etcd_ms, 100), "ms", std::nullopt);
  report.AtMost("max_ms", Percentile(our_ms, 100), "ms", 600);
  report.AtMost("p50_ratio", Percentile(our_ms, 50) / Percentile(etcd_ms, 50), "x", 1);
  return absl::OkStatus();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  int rounds = 50;
  CLI::App app("Time without a leader after a kill, beside etcd");
  app.add_option("--rounds", rounds, "kills of each side's leader")->check(CLI::Range(1, 10'000));
  CLI11_PARSE(app, argc, argv);
  faultline::bench::Report report("failover");
  const auto status = faultline::bench::Measure(report, rounds);
  if (!status.ok()) report.Fail(faultline::ToString(status.message()));
  return report.ExitCode();
}
