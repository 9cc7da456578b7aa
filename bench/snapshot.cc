// What snapshots of 100,000 experiments cost: one node with its log on disk and the control plane's
// state machine in this process, under commands all the time (starts of new experiments, and stops
// of old ones all over the state, so that what a snapshot holds is changed while it is written).
//
// pause_ms: the longest time between two applied commands while a snapshot is under way, the sync
// of the log included. memory_ratio: the process's largest resident set while snapshots are taken,
// by its resident set before. restore_s: from opening the directory, with the newest snapshot and
// the log behind it, to a node that has applied what it had.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/strand.h"
#include "idle_agents.h"
#include "raft/node.h"
#include "report.h"
#include "server/control_plane.h"
#include "tests/cluster/process.h"
#include "writers.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kPatienceNs = 120 * kNanosPerSecond;
constexpr int kUnderWay = 16;  // commands at once
constexpr int kFilling = 512;

class NoTransport final : public raft::Transport {
 public:
  void Send(const raft::Member&, std::string) override {}
  Status FetchSnapshot(const raft::Member&, const raft::Snapshot&, uint64_t,
                       const ByteSink&) override {
    return MakeError(StatusCode::kUnavailable, "there is nobody");
  }
  void StopFetching() override {}
};

// "VmRSS" or "VmHWM" of this process.
double MemoryMib(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return std::strtod(line.c_str() + name.size() + 1, nullptr) / 1'024;
  }
  return 0;
}
void ForgetLargestMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }

// The state machine, and when it was at work.
class Watched final : public raft::StateMachine {
 public:
  explicit Watched(raft::StateMachine* inner) : inner_(inner) {}

  int ended() const { return *ended_; }
  // All that follows is counted from the next Apply on.
  void Begin() {
    capture_ns_ = with_ns_ = without_ns_ = 0;
    begins_ = true;
  }
  // Longest call of Capture, and longest time between two Apply, with a snapshot under way and
  // without one.
  double capture_ms() const { return static_cast<double>(capture_ns_.load()) / 1e6; }
  double pause_ms() const { return static_cast<double>(with_ns_.load()) / 1e6; }
  double pause_without_ms() const { return static_cast<double>(without_ns_.load()) / 1e6; }

  std::string Apply(uint64_t index, uint64_t term, std::string_view command, bool wanted) override {
    std::string result = inner_->Apply(index, term, command, wanted);
    const uint64_t now_ns = MonotonicNowNs();
    std::atomic<uint64_t>& longest = under_way_ ? with_ns_ : without_ns_;
    if (!begins_.exchange(false)) longest = std::max(longest.load(), now_ns - applied_ns_);
    applied_ns_ = now_ns;
    under_way_ = begun_ > *ended_;
    return result;
  }
  void Advance(uint64_t index, uint64_t term) override { inner_->Advance(index, term); }
  std::shared_ptr<const raft::StateImage> Capture() override {
    const uint64_t begin_ns = MonotonicNowNs();
    auto image = inner_->Capture();
    capture_ns_ = std::max(capture_ns_.load(), MonotonicNowNs() - begin_ns);
    ++begun_;
    under_way_ = true;
    return std::make_shared<const Image>(std::move(image), ended_);
  }
  StatusOr<std::shared_ptr<raft::LoadedState>> Load(ByteSource& source) const override {
    return inner_->Load(source);
  }
  void Restore(uint64_t index, uint64_t term, std::shared_ptr<raft::LoadedState> state) override {
    inner_->Restore(index, term, std::move(state));
  }
  Status health() const override { return inner_->health(); }

 private:
  // Ends with the last of its owners, after the snapshot is written.
  class Image final : public raft::StateImage {
   public:
    Image(std::shared_ptr<const raft::StateImage> inner, std::shared_ptr<std::atomic<int>> ended)
        : inner_(std::move(inner)), ended_(std::move(ended)) {}
    ~Image() override {
      inner_.reset();
      ++*ended_;
    }
    Status Write(const ByteSink& sink) const override { return inner_->Write(sink); }

   private:
    std::shared_ptr<const raft::StateImage> inner_;
    const std::shared_ptr<std::atomic<int>> ended_;
  };

  raft::StateMachine* const inner_;
  const std::shared_ptr<std::atomic<int>> ended_ = std::make_shared<std::atomic<int>>(0);
  std::atomic<uint64_t> capture_ns_{0}, with_ns_{0}, without_ns_{0};
  std::atomic<bool> begins_{true};
  // On the node's strand.
  int begun_ = 0;
  uint64_t applied_ns_ = 0;
  bool under_way_ = false;  // at some time since the last Apply
};

// One node, alone.
class OneNode {
 public:
  static StatusOr<std::unique_ptr<OneNode>> Start(const std::string& data_dir) {
    auto one = std::make_unique<OneNode>();
    raft::Options options;
    options.id = 1;
    options.members = {{1, "127.0.0.1:1"}};
    options.data_dir = data_dir;
    FL_ASSIGN_OR_RETURN(one->node_, raft::Node::Start(options, &one->watched_, &one->transport_));
    one->plane_.Attach(one->node_.get());
    return one;
  }
  ~OneNode() { plane_.Detach(); }

  Watched& watched() { return watched_; }
  size_t experiments() const {
    return plane_.With([](const auto& state, const auto&) { return state.experiments.size(); });
  }
  uint64_t applied_index() const { return node_->GetView().applied_index; }
  Status WaitUntil(const std::function<bool()>& condition) const {
    const uint64_t end_ns = MonotonicNowNs() + kPatienceNs;
    while (!condition()) {
      if (MonotonicNowNs() > end_ns) return MakeError(StatusCode::kDeadlineExceeded, "no progress");
      usleep(1'000);
    }
    return absl::OkStatus();
  }
  bool leads() const { return node_->GetView().role == raft::Role::kLeader; }

  // Proposes what `next` makes until it makes nothing, so many at once; an error when one fails.
  Status Run(int at_once, const std::function<std::optional<control::v1::Command>()>& next) {
    std::unique_lock lock(mutex_);
    failure_ = absl::OkStatus();
    while (failure_.ok()) {
      changed_.wait(lock, [&] { return under_way_ < at_once; });
      auto command = next();
      if (!command) break;
      ++under_way_;
      lock.unlock();
      plane_.Propose(*std::move(command), MonotonicNowNs() + kPatienceNs,
                     [this](const StatusOr<server::ControlPlane::Proposed>& proposed) {
                       const std::lock_guard own(mutex_);
                       if (!proposed.ok()) failure_ = proposed.status();
                       if (proposed.ok() && proposed->result.has_error()) {
                         failure_ = control::FromError(proposed->result.error());
                       }
                       --under_way_;
                       changed_.notify_all();
                     });
      lock.lock();
    }
    changed_.wait(lock, [&] { return under_way_ == 0; });
    return failure_;
  }

  // Of all experiments, in order.
  std::vector<std::string> Ids() const {
    return plane_.With([](const auto& state, const auto&) {
      std::vector<std::string> ids;
      for (const auto& [index, record] : state.experiments) {
        ids.push_back(record.experiment().experiment_id());
      }
      return ids;
    });
  }

 private:
  Strand timers_{"timers"};
  server::ControlPlane plane_{&timers_};
  Watched watched_{&plane_};
  NoTransport transport_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int under_way_ = 0;
  Status failure_;
  std::unique_ptr<raft::Node> node_;
};

Status Fill(OneNode& node, int experiments, int targets) {
  int agent = 0;
  FL_RETURN_IF_ERROR(node.Run(1, [&]() -> std::optional<control::v1::Command> {
    if (agent * IdleAgents::kTargetsEach >= targets) return std::nullopt;
    control::v1::Command command;
    *command.mutable_register_agent()->mutable_agent() = IdleAgents::Describe(agent++);
    command.mutable_register_agent()->mutable_agent()->set_node_id(1);
    return command;
  }));
  int target = 0;
  return node.Run(kFilling, [&]() -> std::optional<control::v1::Command> {
    if (target >= experiments) return std::nullopt;
    return StartCommand(target++);
  });
}

// Starts and stops until so many snapshots have been written.
Status Work(OneNode& node, int first_target, int targets, int snapshots) {
  const std::vector<std::string> ids = node.Ids();
  std::mt19937_64 random(1);
  int target = first_target;
  int turn = 0;
  const int enough = node.watched().ended() + snapshots;
  FL_RETURN_IF_ERROR(node.Run(kUnderWay, [&]() -> std::optional<control::v1::Command> {
    if (node.watched().ended() >= enough || target >= targets) return std::nullopt;
    if (++turn % 2 == 0) return StartCommand(target++);
    control::v1::Command command;
    command.mutable_stop_experiments()->add_experiment_ids(ids[random() % ids.size()]);
    return command;
  }));
  if (node.watched().ended() >= enough) return absl::OkStatus();
  return MakeError(StatusCode::kInternal, "{} commands, and too few snapshots", turn);
}

Status Measure(Report& report, int experiments, int snapshots) {
  const cluster::TempDir folder;
  // A snapshot of so large a state waits for many commands (raft/driver_snapshots.cc).
  const int targets = (1 + 2 * snapshots) * experiments;
  FL_ASSIGN_OR_RETURN(auto node, OneNode::Start(folder.path() + "/data"));
  FL_RETURN_IF_ERROR(node->WaitUntil([&] { return node->leads(); }));
  FL_RETURN_IF_ERROR(Fill(*node, experiments, targets));
  sleep(2);  // a snapshot that is under way
  const double before_mib = MemoryMib("VmRSS");
  ForgetLargestMemory();
  node->watched().Begin();
  FL_RETURN_IF_ERROR(Work(*node, experiments, targets, snapshots));
  const double most_mib = MemoryMib("VmHWM");
  report.AtMost("experiments", static_cast<double>(node->experiments()), "", std::nullopt);
  report.AtMost("resident_mib", before_mib, "MiB", std::nullopt);
  report.AtMost("capture_ms", node->watched().capture_ms(), "ms", std::nullopt);
  report.AtMost("pause_without_ms", node->watched().pause_without_ms(), "ms", std::nullopt);
  report.AtMost("pause_ms", node->watched().pause_ms(), "ms", 50);
  report.AtMost("memory_ratio", most_mib / before_mib, "x", 1.5);

  const uint64_t applied = node->applied_index();
  const size_t stored = node->experiments();
  node.reset();
  const uint64_t begin_ns = MonotonicNowNs();
  FL_ASSIGN_OR_RETURN(node, OneNode::Start(folder.path() + "/data"));
  FL_RETURN_IF_ERROR(node->WaitUntil([&] { return node->applied_index() >= applied; }));
  report.AtMost("restore_s", static_cast<double>(MonotonicNowNs() - begin_ns) / 1e9, "s", 2);
  if (node->experiments() == stored) return absl::OkStatus();
  return MakeError(StatusCode::kInternal, "{} experiments were restored of {}", node->experiments(),
                   stored);
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  int experiments = 100'000;
  int snapshots = 2;
  CLI::App app("What snapshots of a large state cost");
  app.add_option("--experiments", experiments, "stored experiments");
  app.add_option("--snapshots", snapshots, "snapshots that are measured");
  CLI11_PARSE(app, argc, argv);
  faultline::bench::Report report("snapshot");
  const auto status = faultline::bench::Measure(report, experiments, snapshots);
  if (!status.ok()) report.Fail(faultline::ToString(status.message()));
  return report.ExitCode();
}
