// What a recorder keeps, and for how long.
#include <gtest/gtest.h>

#include "server/recorder_testing.h"

namespace faultline::server {
namespace {

using namespace recorder_testing;

// As many targets as there is room for.
void MeasureMany(Recorder* recorder) {
  chaos::v1::MetricsBatch batch;
  batch.mutable_position()->set_agent_id("many");
  batch.mutable_position()->set_sequence(1);
  batch.set_interval_ns(kInterval);
  for (size_t i = 0; i < Recorder::kMaxBaselines; ++i) {
    batch.add_samples()->set_target_id(fmt::format("many/{}", i));
  }
  recorder->OnBatch(batch);
}

TEST(RecorderBounds, TargetsThatWereSilentForLongMakeRoomForNewOnes) {
  Recorder recorder(1);
  MeasureMany(&recorder);
  recorder.Due(kSecond + Recorder::kSilentNs, false);
  Agent agent(&recorder);
  agent.Measure(50, 1'000'000);
  agent.Measure(10, 11'000'000, "e1");
  EXPECT_EQ(Count(PartOf(&recorder).targets(0).before()), 50u);
}

TEST(RecorderBounds, WithoutRoomForTheTimeBeforeTheRestIsRecorded) {
  Recorder recorder(1);
  MeasureMany(&recorder);
  Agent agent(&recorder);
  agent.Measure(50, 1'000'000);
  agent.Measure(10, 11'000'000, "e1");
  agent.Measure(5, 1'000'000);
  const auto target = PartOf(&recorder).targets(0);
  EXPECT_EQ(Count(target.before()), 0u);
  EXPECT_EQ(Count(target.during()), 10u);
  EXPECT_EQ(Count(target.after()), 5u);
}

TEST(RecorderBounds, TheSourceThatWasSilentLongestMakesRoomForAnother) {
  Recorder recorder(1);
  Agent agent(&recorder);  // "a": the first by name
  agent.Measure(10, 1'000'000);
  const auto say_hello = [&recorder](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      auto hello = Hello(1, 0);
      hello.mutable_agent()->set_agent_id(fmt::format("b{}", i));
      recorder.OnHello(hello);
    }
  };
  say_hello(0, Recorder::kMaxSources - 1);
  agent.Measure(10, 1'000'000);
  say_hello(Recorder::kMaxSources - 1, Recorder::kMaxSources + 100);
  recorder.OnHello(Hello(1, /*sequence=*/40));  // no other node is between
  agent.Measure(10, 11'000'000, "e1");
  EXPECT_EQ(Count(PartOf(&recorder).targets(0).during()), 10u);
}

// While another one is on for ever, so that nothing is measured after them.
TEST(RecorderBounds, KeepsWhatItHasNotHeardOfWhileItMayAndWhileThereIsRoom) {
  for (const bool room : {true, false}) {
    Recorder recorder(1);
    recorder.Due(1, false);
    Agent agent(&recorder);
    agent.other = "e2";
    agent.Measure(10, 11'000'000, "e1");
    if (!room) {
      chaos::v1::MetricsBatch batch;
      batch.mutable_position()->set_agent_id("many");
      batch.mutable_position()->set_sequence(1);
      batch.set_interval_ns(kInterval);
      for (size_t i = 0; i < Recorder::kMaxCourses; ++i) {
        auto* sample = batch.add_samples();
        sample->set_target_id(fmt::format("many/{}", i));
        sample->add_faults()->set_experiment_id("e3");
      }
      recorder.OnBatch(batch);
    }
    agent.Measure(200, 1'000'000);
    recorder.Due(Recorder::kSilentNs + 2, false);
    TellCompleted(&recorder, Recorder::kStrangeNs);
    const auto parts = recorder.Due(Recorder::kStrangeNs + Recorder::kPatienceNs, false);
    EXPECT_EQ(parts.size(), room ? 1u : 0u);
  }
}

TEST(RecorderBounds, KeepsNothingOfExperimentsThatItNeverHearsOf) {
  Recorder recorder(1);
  recorder.Due(1, false);
  Agent agent(&recorder);
  agent.Measure(10, 11'000'000, "strange");
  agent.Measure(101, 1'000'000);
  recorder.Due(Recorder::kStrangeNs + 2, false);
  auto strange =
      Experiment(chaos::v1::TARGET_PHASE_REVERTED, chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  strange.set_experiment_id("strange");
  Tell(&recorder, strange, kSecond);
  EXPECT_TRUE(recorder.Due(kSecond + Recorder::kPatienceNs, false).empty());
}

TEST(RecorderBounds, KeepsWhatCannotBeRecordedForLongAndNotForEver) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(10, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  recorder.Due(kSecond + Recorder::kForgetNs + 1, false);
  EXPECT_EQ(recorder.Due(kSecond + Recorder::kGiveUpNs, false).size(), 1u);
  recorder.Due(kSecond + Recorder::kGiveUpNs + 1, false);
  EXPECT_TRUE(recorder.Due(kSecond + Recorder::kGiveUpNs + 2, true).empty());
}

TEST(RecorderBounds, ForgetsWhatIsReported) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(10, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  EXPECT_EQ(recorder.Due(kSecond + Recorder::kPatienceNs, false).size(), 1u);
  recorder.Done("e1", /*with_events=*/false);
  recorder.Due(kSecond + Recorder::kForgetNs + 1, false);
  EXPECT_TRUE(recorder.Due(kSecond + Recorder::kForgetNs + 2, true).empty());
}

}  // namespace
}  // namespace faultline::server
