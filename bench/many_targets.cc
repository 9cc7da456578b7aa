// Five hundred targets on one host, each with a delay on it: services that share an interface and a
// network namespace (1ns), and services in a namespace each (500ns).
//
// arm_s and disarm_s: from the first to the last target's fault, targets known and measured before.
// targets_s: how long it takes to attach to all targets, and to let go of them. kb_per_target: what
// the process and the kernel on its behalf have come to hold since the driver had none, targets
// attached, measured and armed; by the accounting of a memory cgroup that this process is in while
// the driver works. The driver is the agent's own.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "base/clock.h"
#include "driver_bench.h"
#include "netns/harness.h"

namespace faultline::bench {
namespace {

using netns_test::Network;

constexpr unsigned kTargets = 500;
constexpr uint64_t kHourNs = 3600 * kNanosPerSecond;

// A memory cgroup of this process' own (cgroup v1 or v2). Children would be charged to it as well:
// none is started inside.
class Charged {
 public:
  Charged() {
    const std::string v1 = "/sys/fs/cgroup/memory";
    root_ = std::filesystem::exists(v1) ? v1 : "/sys/fs/cgroup";
    path_ = fmt::format("{}/faultline-bench-{}", root_, getpid());
    std::filesystem::create_directory(path_, ignored_);
    Move(path_);
  }
  ~Charged() {
    Move(root_);
    rmdir(path_.c_str());
  }
  Charged(const Charged&) = delete;
  Charged& operator=(const Charged&) = delete;

  // Negative when it cannot be told.
  double Bytes() const {
    double bytes = -1;
    for (const char* file : {"/memory.usage_in_bytes", "/memory.current"}) {
      if (std::ifstream(path_ + file) >> bytes) return bytes;
    }
    return -1;
  }

 private:
  static void Move(const std::string& cgroup) {
    std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush;
  }

  std::error_code ignored_;
  std::string root_, path_;
};

// Network namespaces with an interface each, for as long as it lives.
class Namespaces {
 public:
  Namespaces() {
    std::vector<std::string> lines;
    for (unsigned i = 0; i < kTargets; ++i) {
      lines.push_back("netns add " + Name(i));
      lines.push_back(fmt::format("-n {0} link add eth0 type veth peer name eth1", Name(i)));
    }
    Batch(lines);
  }
  ~Namespaces() {
    std::vector<std::string> lines;
    for (unsigned i = 0; i < kTargets; ++i) lines.push_back("netns del " + Name(i));
    Batch(lines);
  }
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  static std::string Name(unsigned i) { return fmt::format("fl-test-{}-many{}", getpid(), i); }

 private:
  // Lines with their own namespace cannot be one batch.
  static void Batch(const std::vector<std::string>& lines) {
    std::string script;
    for (const std::string& line : lines) script += "ip " + line + "\n";
    int code = 0;
    netns_test::RunAnyhow({"sh", "-c", script}, &code);
  }
};

double Seconds(uint64_t since_ns) { return static_cast<double>(MonotonicNowNs() - since_ns) / 1e9; }

class Host : public DriverBench {
 public:
  Host() : DriverBench("many_targets") {}

 private:
  void Measure() override {
    std::vector<chaos::v1::Target> shared;
    for (unsigned i = 0; i < kTargets; ++i) shared.push_back(Named(ServerTarget({20'000 + i}), i));
    MeasureWith("1ns", shared, 2, 20);
    {
      const Namespaces namespaces;
      std::vector<chaos::v1::Target> apart;
      for (unsigned i = 0; i < kTargets; ++i) {
        apart.push_back(Named(ServerTarget(), i));
        apart.back().set_netns(Namespaces::Name(i));
      }
      MeasureWith("500ns", apart, 10, 150);
    }
  }

  static chaos::v1::Target Named(chaos::v1::Target target, unsigned i) {
    target.set_target_id(fmt::format("t{}", i));
    return target;
  }

  void MeasureWith(const std::string& where, const std::vector<chaos::v1::Target>& targets,
                   double goal_s, double goal_kb) {
    MakeDriver();
    {
      const Charged charged;
      // What a first target costs is the driver's, not this target's.
      Check(driver_->SetTargets({targets[0]}));
      const double before = charged.Bytes();
      uint64_t begin_ns = MonotonicNowNs();
      Check(driver_->SetTargets(targets));
      report_.AtMost("targets_s_" + where, Seconds(begin_ns), "s", std::nullopt);
      begin_ns = MonotonicNowNs();
      for (unsigned i = 0; i < kTargets; ++i) Check({driver_->Arm(Request(i))});
      report_.AtMost("arm_s_" + where, Seconds(begin_ns), "s", goal_s);
      std::vector<chaos::v1::TargetSample> samples;
      driver_->ReadSamples(&samples);
      if (samples.size() != kTargets || driver_->Armed().size() != kTargets) {
        report_.Fail(fmt::format("{} targets are measured and {} armed", samples.size(),
                                 driver_->Armed().size()));
      }
      const double after = charged.Bytes();
      if (before < 0 || after < 0) {
        report_.Fail("no memory cgroup tells what the targets cost");
      } else {
        report_.AtMost("kb_per_target_" + where, (after - before) / 1e3 / kTargets, "kB", goal_kb);
      }
      begin_ns = MonotonicNowNs();
      for (unsigned i = 0; i < kTargets; ++i) Check({driver_->Disarm(Request(i).key)});
      report_.AtMost("disarm_s_" + where, Seconds(begin_ns), "s", goal_s);
      begin_ns = MonotonicNowNs();
      driver_->SetTargets({});
      report_.AtMost("let_go_s_" + where, Seconds(begin_ns), "s", std::nullopt);
    }
    const uint64_t begin_ns = MonotonicNowNs();
    driver_.reset();
    report_.AtMost("end_s_" + where, Seconds(begin_ns), "s", std::nullopt);
  }

  static faults::ArmRequest Request(unsigned target) {
    faults::ArmRequest request;
    request.key = {"e", 0, fmt::format("t{}", target)};
    auto latency = Latency(10);
    latency.mutable_filter()->set_protocol(::network::v1::PROTOCOL_TCP);
    request.config.PackFrom(latency);
    request.deadline_boottime_ns = BoottimeNowNs() + kHourNs;
    return request;
  }

  void Check(const std::vector<Status>& statuses) {
    for (const Status& status : statuses) {
      if (status.ok()) continue;
      report_.Fail(ToString(status.message()));
      return;
    }
  }
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Main(); }
