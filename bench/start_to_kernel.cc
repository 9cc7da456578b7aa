// From the sending of StartExperiment to the kernel holding the rule: three controllers with fsync,
// an agent, a target in a namespace, one experiment after another.
//
// The end of each measurement is the moment when a WatchExperiments stream, opened before, shows
// the target ACTIVE. The agent reports that after the kernel is armed, the report goes through the
// log of three nodes like the experiment did, and the stream tells it: so the figures are an upper
// bound of what is asked, by about one commit.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "client/client.h"
#include "e2e/agent_support.h"
#include "report.h"
#include "tests/ports/free_ports.h"

namespace faultline::bench {
namespace {

constexpr int kExperiments = 200;
constexpr int kWarmUp = 5;
constexpr std::chrono::seconds kPatience{20};

// When each experiment was first seen active, by a thread that watches all of them.
class ActiveTimes {
 public:
  explicit ActiveTimes(client::Client& client)
      : stream_(client.WatchExperiments({}, {token_, nullptr})), thread_([this] { Watch(); }) {}
  ~ActiveTimes() {
    token_->Cancel();
    thread_.join();
  }
  // Monotonic time; 0 when the patience has run out.
  uint64_t WaitFor(const std::string& id) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return times_.contains(id); });
    return times_.contains(id) ? times_[id] : 0;
  }

 private:
  void Watch() {
    while (true) {
      const auto change = stream_->Next();
      if (!change.ok()) return;
      const uint64_t now_ns = MonotonicNowNs();
      std::lock_guard lock(mutex_);
      for (const auto& experiment : change->experiments()) {
        const auto& pairs = experiment.targets();
        if (!pairs.empty() && pairs[0].phase() == chaos::v1::TARGET_PHASE_ACTIVE) {
          times_.emplace(experiment.experiment_id(), now_ns);
        }
      }
      changed_.notify_all();
    }
  }

  const std::shared_ptr<client::Cancellation> token_ = std::make_shared<client::Cancellation>();
  std::unique_ptr<client::ExperimentStream> stream_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, uint64_t> times_;
  std::thread thread_;
};

class System {
 public:
  System() {
    const std::vector<int> ports = FreePorts(6);
    std::string members;
    for (int i = 0; i < 3; ++i) {
      addresses_.push_back(fmt::format("127.0.0.1:{}", ports[i]));
      members += fmt::format("{}{}=127.0.0.1:{}", i == 0 ? "" : ",", i + 1, ports[3 + i]);
    }
    for (int i = 0; i < 3; ++i) {
      const std::string name = fmt::format("{}/controller-{}", folder_.path(), i + 1);
      processes_.push_back(std::make_unique<e2e::Process>(
          std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-controller", "--id",
                                   fmt::format("{}", i + 1), "--data-dir", name, "--api-listen",
                                   addresses_[i], "--peer-listen",
                                   fmt::format("127.0.0.1:{}", ports[3 + i]), "--members", members},
          name + ".log"));
    }
    processes_.push_back(std::make_unique<e2e::Process>(
        std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-agent", "--config",
                                 e2e::WriteAgentConfig(folder_.path(), net_, addresses_), "run"},
        folder_.path() + "/agent.log"));
  }

  std::string addresses() const { return fmt::format("{}", fmt::join(addresses_, ",")); }
  const std::string& folder() const { return folder_.path(); }

 private:
  const e2e::TempFolder folder_;
  const e2e::NetPair net_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<e2e::Process>> processes_;
};

Status WaitForAgent(client::Client& client) {
  const uint64_t end_ns = MonotonicNowNs() + std::chrono::nanoseconds(kPatience).count();
  while (MonotonicNowNs() < end_ns) {
    const auto agents = client.ListAgents({});
    if (agents.ok() && agents->agents_size() > 0 && agents->agents(0).connected()) {
      return absl::OkStatus();
    }
    usleep(50'000);
  }
  return MakeError(StatusCode::kUnavailable, "the agent does not connect");
}

// One experiment from start to a confirmed stop; result: milliseconds until it was seen active.
StatusOr<double> MeasureOne(client::Client& client, ActiveTimes& times) {
  chaos::v1::StartExperimentRequest start;
  start.set_target("service:checkout");
  start.set_fault_type("NETWORK_LATENCY");
  (*start.mutable_parameters())["delay_ms"] = "1";
  start.mutable_duration()->set_seconds(60);
  const uint64_t sent_ns = MonotonicNowNs();
  FL_ASSIGN_OR_RETURN(const auto started, client.StartExperiment(start));
  const uint64_t active_ns = times.WaitFor(started.experiment_id());
  if (active_ns == 0)
    return MakeError(StatusCode::kDeadlineExceeded, "an experiment stays inactive");
  chaos::v1::StopExperimentRequest stop;
  stop.set_experiment_id(started.experiment_id());
  stop.mutable_wait()->set_seconds(10);
  FL_RETURN_IF_ERROR(client.StopExperiment(stop).status());
  return static_cast<double>(active_ns - sent_ns) / 1e6;
}

// What the disk alone takes for the three syncs of a commit one after another.
double ThreeFsyncsMs(int fd) {
  const std::vector<char> record(256, 'x');
  const uint64_t begin_ns = MonotonicNowNs();
  for (int i = 0; i < 3; ++i) {
    if (write(fd, record.data(), record.size()) != static_cast<ssize_t>(record.size()) ||
        fdatasync(fd) != 0) {
      return 0;
    }
  }
  return static_cast<double>(MonotonicNowNs() - begin_ns) / 1e6;
}

Status Measure(Report& report) {
  const System system;
  client::Options options;
  options.addresses = system.addresses();
  FL_ASSIGN_OR_RETURN(const auto client, client::Client::Create(options));
  FL_RETURN_IF_ERROR(WaitForAgent(*client));
  ActiveTimes times(*client);
  const int fd = open((system.folder() + "/syncs").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::vector<double> armed_ms, syncs_ms;
  for (int i = -kWarmUp; i < kExperiments; ++i) {
    FL_ASSIGN_OR_RETURN(const double ms, MeasureOne(*client, times));
    const double sync_ms = ThreeFsyncsMs(fd);
    if (i < 0) continue;
    armed_ms.push_back(ms);
    syncs_ms.push_back(sync_ms);
  }
  close(fd);
  report.AtMost("p50_ms", Percentile(armed_ms, 50), "ms", 5);
  report.AtMost("p99_ms", Percentile(armed_ms, 99), "ms", 20);
  report.AtMost("three_fsyncs_p50_ms", Percentile(syncs_ms, 50), "ms", std::nullopt);
  return absl::OkStatus();
}

int Run() {
  Report report("start_to_kernel");
  if (const std::string why = e2e::WhyNotHere(); !why.empty()) {
    report.Fail(why);
  } else if (const Status status = Measure(report); !status.ok()) {
    report.Fail(ToString(status.message()));
  }
  return report.ExitCode();
}

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Run(); }
