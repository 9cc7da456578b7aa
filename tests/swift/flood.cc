#include "tests/swift/flood.h"

#include <time.h>

#include "base/clock.h"

namespace faultline::swift {

Flood::Flood(std::vector<std::string> controllers, int targets)
    : agent_({.id = "flood", .controllers = std::move(controllers), .targets = targets}) {}

Flood::~Flood() { Stop(); }

void Flood::Begin(const std::string& experiment_id, double hz) {
  Stop();
  stopping_ = false;
  sender_ = std::thread([this, experiment_id, hz] { Send(experiment_id, hz); });
}

uint64_t Flood::Stop() {
  stopping_ = true;
  if (sender_.joinable()) sender_.join();
  return sequence_;
}

void Flood::Send(const std::string& experiment_id, double hz) {
  constexpr uint32_t kBucket = 640;  // about a millisecond
  const auto interval_ns = static_cast<uint64_t>(1e9 / hz);
  chaos::v1::MetricsBatch batch;
  batch.set_interval_ns(interval_ns);
  for (const std::string& target : agent_.target_ids()) {
    auto* sample = batch.add_samples();
    sample->set_target_id(target);
    sample->mutable_latency()->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
    sample->mutable_latency()->add_index(kBucket);
    sample->mutable_latency()->add_count(10);
    sample->add_faults()->set_experiment_id(experiment_id);
  }
  uint64_t due_ns = MonotonicNowNs();
  while (!stopping_) {
    batch.mutable_position()->set_sequence(++sequence_);
    batch.set_timestamp_ns(UnixNowNs());
    for (auto& sample : *batch.mutable_samples()) {
      sample.mutable_faults(0)->set_matched(sequence_);
      sample.mutable_faults(0)->set_dropped(sequence_);
    }
    // One that finds no connection is missing in the sequence, as an agent's would be.
    agent_.SendBatch(batch);
    due_ns += interval_ns;
    const timespec until{static_cast<time_t>(due_ns / kNanosPerSecond),
                         static_cast<long>(due_ns % kNanosPerSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  }
}

}  // namespace faultline::swift
