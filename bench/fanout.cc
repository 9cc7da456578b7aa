// One experiment's measurements to a thousand subscribers: an agent sends ten batches a second to
// one of three controllers on this machine, and the subscribers, each over a connection of its own,
// read from all three. Beside it, in the same run, three plain gRPC servers that write the same
// bytes as often to as many streams, with no agent, relay, or filter in between.
//
// p99_ms: from the agent's sending to a subscriber's receipt. cores: CPU time of the three
// controllers by wall time. Progress on standard error.
#include <absl/synchronization/mutex.h>
#include <grpcpp/server_builder.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <fstream>
#include <set>

#include "base/clock.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "load.h"
#include "loaded_cluster.h"
#include "metric_agents.h"
#include "report.h"
#include "subscribers.h"
#include "tests/cluster/cluster.h"
#include "tests/ports/free_ports.h"

namespace faultline::bench {
namespace {

using chaos::v1::MetricUpdate;
using cluster::Cluster;

constexpr int kNodes = 3;
constexpr double kRateHz = 10;

struct Settings {
  int subscribers = 1'000;
  int seconds = 20;
  std::string serve, update;
};

// A plain server: one message, written to every stream that has taken the one before.
class PlainService final : public chaos::v1::ChaosController::CallbackService {
 public:
  class Stream final : public grpc::ServerWriteReactor<MetricUpdate> {
   public:
    explicit Stream(PlainService* service) : service_(service) { service_->Enter(this); }
    void Write(const std::shared_ptr<const MetricUpdate>& update) {
      if (busy_.exchange(true)) return;
      update_ = update;
      StartWrite(update_.get());
    }
    void OnWriteDone(bool) override { busy_ = false; }
    void OnCancel() override {
      service_->Leave(this);
      Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    PlainService* const service_;
    std::atomic<bool> busy_{false};
    std::shared_ptr<const MetricUpdate> update_;
  };

  grpc::ServerWriteReactor<MetricUpdate>* SubscribeToMetrics(
      grpc::CallbackServerContext*, const chaos::v1::SubscribeToMetricsRequest*) override {
    return new Stream(this);
  }
  void WriteAll(const std::shared_ptr<const MetricUpdate>& update) {
    const std::lock_guard lock(mutex_);
    for (Stream* stream : streams_) stream->Write(update);
  }

 private:
  void Enter(Stream* stream) {
    const std::lock_guard lock(mutex_);
    streams_.insert(stream);
  }
  void Leave(Stream* stream) {
    const std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }
  std::mutex mutex_;
  std::set<Stream*> streams_;
};

// Until it is killed.
int Serve(const Settings& settings) {
  MetricUpdate update;
  std::ifstream file(settings.update, std::ios::binary);
  if (!update.ParseFromIstream(&file)) return 1;
  PlainService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(settings.serve, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) return 1;
  // All three at once, as what an agent sends reaches three controllers.
  using Turns = std::chrono::duration<int64_t, std::deci>;
  auto turn = std::chrono::ceil<Turns>(std::chrono::steady_clock::now());
  for (;; ++turn) {
    std::this_thread::sleep_until(turn);
    auto now = std::make_shared<MetricUpdate>(update);
    now->set_timestamp_ns(UnixNowNs());
    service.WriteAll(now);
  }
}

struct Figures {
  double p50_ms = 0, p99_ms = 0, cores = 0, bytes = 0, updates_per_s = 0;
  double merged_percent = 0;  // of the batches
  uint64_t merged = 0;
};

// Of a window, once every subscriber is reached.
StatusOr<Figures> Measure(const Settings& settings, const std::vector<std::string>& addresses,
                          const std::string& experiment, const std::vector<int>& pids) {
  chaos::v1::SubscribeToMetricsRequest request;
  request.set_experiment_id(experiment);
  request.set_rate_hz(kRateHz);
  Subscribers subscribers(settings.subscribers, request, addresses, {});
  if (!cluster::Eventually([&] { return subscribers.reached() == settings.subscribers; })) {
    return MakeError(StatusCode::kDeadlineExceeded, "{} of {} subscribers are reached",
                     subscribers.reached(), settings.subscribers);
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const auto cpu = [&pids] {
    double seconds = 0;
    for (const int pid : pids) seconds += CpuSecondsOf(pid);
    return seconds;
  };
  subscribers.Clear();
  const double cpu_s = cpu();
  const uint64_t begin_ns = MonotonicNowNs();
  std::this_thread::sleep_for(std::chrono::seconds(settings.seconds));
  const double wall_s = static_cast<double>(MonotonicNowNs() - begin_ns) / 1e9;
  Figures figures;
  figures.cores = (cpu() - cpu_s) / wall_s;
  const Subscribers::Received received = subscribers.received();
  figures.p50_ms = received.age.PercentileNs(50) / 1e6;
  figures.p99_ms = received.age.PercentileNs(99) / 1e6;
  figures.updates_per_s = static_cast<double>(received.updates) / wall_s;
  figures.merged = received.merged;
  figures.merged_percent = 100 * static_cast<double>(received.merged) /
                           static_cast<double>(received.updates + received.merged);
  figures.bytes = static_cast<double>(received.bytes) / static_cast<double>(received.updates);
  const double share =
      static_cast<double>(received.updates + received.merged) / wall_s / settings.subscribers;
  std::fprintf(stderr, "fanout: %.1f of 10 batches a second to each, p50 %.2f ms, p99 %.2f ms\n",
               share, figures.p50_ms, figures.p99_ms);
  if (share < 0.95 * kRateHz) {
    return MakeError(StatusCode::kUnavailable, "subscribers get only {:.2f} batches a second",
                     share);
  }
  return figures;
}

// The experiment's next update, as one who subscribes gets it.
StatusOr<MetricUpdate> AnUpdate(const Cluster& cluster, const std::string& experiment) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  chaos::v1::SubscribeToMetricsRequest request;
  request.set_experiment_id(experiment);
  MetricUpdate update;
  // Some come before the window of a second is full.
  const auto stub = cluster.Stub(0);
  const auto reader = stub->SubscribeToMetrics(&context, request);
  for (int i = 0; i < 15; ++i) {
    if (!reader->Read(&update)) return MakeError(StatusCode::kUnavailable, "no update comes");
  }
  context.TryCancel();
  return update;
}

StatusOr<Figures> MeasurePlain(const Settings& settings, const MetricUpdate& update) {
  const cluster::TempDir directory;
  const std::string path = directory.path() + "/update";
  {
    std::ofstream file(path, std::ios::binary);
    update.SerializeToOstream(&file);
  }
  std::vector<std::string> addresses;
  std::vector<std::unique_ptr<cluster::Process>> servers;
  std::vector<int> pids;
  for (const int port : FreePorts(kNodes)) {
    addresses.push_back(fmt::format("127.0.0.1:{}", port));
    servers.push_back(std::make_unique<cluster::Process>(
        std::vector<std::string>{"/proc/self/exe", "--serve", addresses.back(), "--update", path},
        directory.path() + "/log"));
    pids.push_back(servers.back()->pid());
  }
  return Measure(settings, addresses, "plain", pids);
}

Status Compare(Report& report, const Settings& settings) {
  Figures ours;
  MetricUpdate update;
  {
    Cluster cluster({.nodes = kNodes});
    FL_RETURN_IF_ERROR(WaitForLeases(cluster));
    MetricAgents agents(1, kRateHz, cluster.api_addresses(), {});
    if (!cluster::Eventually([&] { return agents.ready() == 1; })) {
      return MakeError(StatusCode::kUnavailable, "the agent gets no lease");
    }
    FL_ASSIGN_OR_RETURN(const auto started,
                        cluster.StartExperiment(
                            0, cluster::LatencyOn("target:" + MetricAgents::AgentId(0) + "/t")));
    const std::string& id = started.experiment_id();
    if (!cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_ACTIVE)) {
      return MakeError(StatusCode::kUnavailable, "the experiment does not begin");
    }
    agents.Measure(true);
    FL_ASSIGN_OR_RETURN(update, AnUpdate(cluster, id));
    std::vector<int> pids;
    for (int node = 0; node < kNodes; ++node) pids.push_back(cluster.process(node).pid());
    FL_ASSIGN_OR_RETURN(ours, Measure(settings, cluster.api_addresses(), id, pids));
  }
  FL_ASSIGN_OR_RETURN(const Figures plain, MeasurePlain(settings, update));
  report.AtMost("p99_ms", ours.p99_ms, "ms", 50);
  report.AtMost("cores", ours.cores, "cores", 1);
  report.Beside("p99_ms", ours.p99_ms, "ms", "plain gRPC streams", plain.p99_ms);
  report.Beside("p50_ms", ours.p50_ms, "ms", "plain gRPC streams", plain.p50_ms);
  report.Beside("cores", ours.cores, "cores", "plain gRPC streams", plain.cores);
  report.Beside("updates_per_s", ours.updates_per_s, "1/s", "plain gRPC streams",
                plain.updates_per_s);
  report.Beside("message_bytes", ours.bytes, "B", "plain gRPC streams", plain.bytes);
  report.AtMost("ratio", ours.p99_ms / plain.p99_ms, "", std::nullopt);
  report.AtMost("merged_updates", static_cast<double>(ours.merged), "", std::nullopt);
  // A merged update is as old as the newest batch in it: with more of them p99_ms would say less.
  report.AtMost("merged_percent", ours.merged_percent, "%", 1);
  return absl::OkStatus();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  faultline::bench::Settings settings;
  CLI::App app("One experiment's measurements to a thousand subscribers");
  app.add_option("--subscribers", settings.subscribers, "subscribers, over three nodes");
  app.add_option("--seconds", settings.seconds, "length of a measured window");
  app.add_option("--serve", settings.serve, "be a plain server at this address")->group("");
  app.add_option("--update", settings.update, "file with what it writes")->group("");
  CLI11_PARSE(app, argc, argv);
  // As controllers do: Debian's abseil looks for deadlocks in every program.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (!settings.serve.empty()) return faultline::bench::Serve(settings);
  faultline::bench::Report report("fanout");
  const auto status = faultline::bench::Compare(report, settings);
  if (!status.ok()) report.Fail(faultline::ToString(status.message()));
  return report.ExitCode();
}
