// An agent, and an experiment of its target, for the tests of recorders.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "control/report_parts.h"
#include "control/version.h"
#include "server/recorder.h"

namespace faultline::server::recorder_testing {

inline constexpr uint64_t kInterval = 100'000'000;
inline constexpr uint64_t kSecond = 1'000'000'000;
inline constexpr int64_t kUnixMs = 1'700'000'000'000;

inline uint64_t Count(const chaos::v1::Measurements& measured) {
  Histogram histogram;
  EXPECT_TRUE(histogram.Merge(measured.latency()).ok());
  return histogram.count();
}

inline chaos::v1::AgentHello Hello(uint64_t incarnation, uint64_t sequence) {
  chaos::v1::AgentHello hello;
  hello.mutable_agent()->set_agent_id("a");
  hello.mutable_agent()->set_incarnation(incarnation);
  hello.set_metrics_sequence(sequence);
  return hello;
}

// An agent "a" with target "a/x": ten batches a second, each with one request of that time.
class Agent {
 public:
  explicit Agent(Recorder* recorder) : recorder_(recorder) {}

  void Measure(int batches, uint64_t latency_ns, const std::string& experiment = "") {
    for (int i = 0; i < batches; ++i) {
      const chaos::v1::MetricsBatch& batch = made_.emplace_back(Next(latency_ns, experiment));
      baseline.Add(batch.samples(0), TimeOf(batch));
      if (recorder_ != nullptr) recorder_->OnBatch(batch);
    }
  }

  // Two batches, of which the second comes first.
  void MeasureOvertaken(uint64_t latency_ns, const std::string& experiment) {
    Recorder* recorder = std::exchange(recorder_, nullptr);
    Measure(2, latency_ns, experiment);
    recorder_ = recorder;
    for (size_t back : {1u, 2u}) recorder_->OnBatch(made_[made_.size() - back]);
  }
  // Sends batches without the target: it has no place.
  void MeasureNothing(int batches) {
    for (int i = 0; i < batches; ++i) {
      chaos::v1::MetricsBatch batch = Next(0, "");
      batch.clear_samples();
      made_.push_back(batch);
      if (recorder_ != nullptr) recorder_->OnBatch(batch);
    }
  }

  // Leaves its node without a word.
  void Leave() { recorder_ = nullptr; }
  // Goes on by a node, and gives it what it has kept, with the last batches once more.
  void Join(Recorder* recorder, uint64_t last_node_id, size_t again = 0) {
    recorder_ = recorder;
    chaos::v1::AgentHello hello = Hello(incarnation, sequence);
    hello.set_last_node_id(last_node_id);
    recorder_->OnHello(hello);
    chaos::v1::AgentBaselines given;
    given.set_metrics_sequence(sequence);
    *given.add_targets() = baseline.kept();
    given.mutable_targets(0)->set_target_id(given_target);
    recorder_->OnBaselines(incarnation, given);
    for (size_t i = made_.size() - again; i < made_.size(); ++i) recorder_->OnBatch(made_[i]);
  }
  // Dies, and starts anew a while later.
  void Restart(uint64_t after_ns) {
    ++incarnation;
    sequence = armed_for = 0;
    now_ns += static_cast<int64_t>(after_ns);
    baseline = Baseline();
  }

  uint64_t incarnation = 1, sequence = 0;
  uint64_t armed_for = 0;  // batches since the fault was armed
  int64_t now_ns = kUnixMs * 1'000'000;
  std::string given_target = "a/x";  // whose baseline a node is given
  std::string other;                 // an experiment that is on as well
  Baseline baseline;

 private:
  chaos::v1::MetricsBatch Next(uint64_t latency_ns, const std::string& experiment) {
    now_ns += static_cast<int64_t>(kInterval);
    chaos::v1::MetricsBatch batch;
    batch.mutable_position()->set_agent_id("a");
    batch.mutable_position()->set_incarnation(incarnation);
    batch.mutable_position()->set_sequence(++sequence);
    batch.set_timestamp_ns(now_ns);
    batch.set_interval_ns(kInterval);
    auto* sample = batch.add_samples();
    sample->set_target_id("a/x");
    sample->set_packets(2);
    sample->mutable_traffic()->set_resets_sent(1);
    Histogram one;
    one.Record(latency_ns);
    *sample->mutable_latency() = one.ToSparse();
    if (!other.empty()) sample->add_faults()->set_experiment_id(other);
    if (experiment.empty()) return batch;
    ++armed_for;
    auto* fault = sample->add_faults();
    fault->set_experiment_id(experiment);
    fault->set_matched(armed_for);
    fault->set_delayed(armed_for);
    fault->set_dropped(armed_for);
    fault->set_delays_measured(armed_for);
    fault->set_delay_given_ns(armed_for * 10'000'000);
    fault->set_delay_asked_ns(armed_for * 10'000'000);
    return batch;
  }

  Recorder* recorder_;
  std::vector<chaos::v1::MetricsBatch> made_;
};

inline chaos::v1::Experiment Experiment(chaos::v1::TargetPhase phase,
                                        chaos::v1::ExperimentStatus status) {
  chaos::v1::Experiment experiment;
  experiment.set_experiment_id("e1");
  experiment.set_status(status);
  experiment.set_created_by("tester");
  auto* pair = experiment.add_targets();
  pair->set_target_id("a/x");
  pair->set_phase(phase);
  if (status == chaos::v1::EXPERIMENT_STATUS_COMPLETED) {
    *experiment.mutable_ended_at() = control::ToTimestamp(kUnixMs);
  }
  return experiment;
}

inline void Tell(Recorder* recorder, const chaos::v1::Experiment& experiment, uint64_t now_ns,
                 int64_t unix_ms = kUnixMs) {
  Change change;
  change.experiments.push_back(std::make_shared<const chaos::v1::Experiment>(experiment));
  recorder->OnChange(change, now_ns, unix_ms);
}

inline void TellCompleted(Recorder* recorder, uint64_t now_ns) {
  Tell(recorder,
       Experiment(chaos::v1::TARGET_PHASE_REVERTED, chaos::v1::EXPERIMENT_STATUS_COMPLETED),
       now_ns);
}

// Its part of e1, which is over, whether or not it was measured long enough afterwards.
inline control::v1::RecordReport PartOf(Recorder* recorder) {
  TellCompleted(recorder, kSecond);
  const auto parts = recorder->Due(kSecond + Recorder::kPatienceNs, false);
  EXPECT_EQ(parts.size(), 1u);
  return parts.empty() ? control::v1::RecordReport() : parts[0];
}

// The one target of these parts, as it is recorded.
inline chaos::v1::TargetReport Merged(const std::vector<control::v1::RecordReport>& parts) {
  chaos::v1::Report report;
  for (const auto& part : parts) {
    control::AddToReport(part, control::kNewestVersion, &report);
  }
  EXPECT_EQ(report.targets_size(), 1);
  return report.targets(0);
}

}  // namespace faultline::server::recorder_testing
