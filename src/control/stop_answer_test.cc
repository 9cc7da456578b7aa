#include "control/stop_answer.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "control/test_support.h"

namespace faultline::control {
namespace {

using chaos::v1::Experiment;
using google::protobuf::util::MessageDifferencer;

// With a value in every field, and so many targets.
Experiment Full(int targets) {
  Experiment experiment;
  experiment.set_experiment_id("exp-1");
  experiment.set_status(chaos::v1::EXPERIMENT_STATUS_RUNNING);
  experiment.set_phase("stopping");
  experiment.set_reason("enough");
  experiment.set_target("service:x");
  experiment.add_faults()->set_kind("NETWORK_LOSS");
  for (int i = 0; i < targets; ++i) experiment.add_targets()->set_target_id(std::string(100, 'x'));
  experiment.set_seed(7);
  experiment.mutable_duration()->set_seconds(60);
  experiment.mutable_created_at()->set_seconds(1);
  experiment.mutable_ends_at()->set_seconds(2);
  experiment.mutable_ended_at()->set_seconds(3);
  experiment.set_revision(9);
  experiment.set_created_by("local");
  experiment.set_request_id("r-1");
  return experiment;
}

TEST(StopAnswer, LeavesOutFaultsAndTargetsOfThoseThatFollowWhenItIsLarge) {
  const Experiment large = Full(4'000);
  const size_t whole = StopAnswer::kWholeBytes / large.ByteSizeLong() + 1;
  google::protobuf::RepeatedPtrField<Experiment> experiments;
  StopAnswer answer(&experiments);
  for (size_t i = 0; i < 10'000; ++i) answer.Add(large);
  ASSERT_EQ(experiments.size(), 10'000);
  Experiment brief = large;
  brief.clear_faults();
  brief.clear_targets();
  for (int i = 0; i < experiments.size(); ++i) {
    const Experiment& expected = static_cast<size_t>(i) < whole ? large : brief;
    ASSERT_TRUE(MessageDifferencer::Equals(experiments[i], expected)) << i;
  }
}

TEST(StopAnswer, KnowsEveryFieldOfAnExperiment) {
  const Experiment full = Full(1);
  const auto* descriptor = Experiment::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (field->is_repeated()) continue;
    EXPECT_TRUE(full.GetReflection()->HasField(full, field)) << field->name();
  }
}

TEST(StopAnswer, IsWhatAStopOfAllGetsAlthoughItEndsEveryOne) {
  testing::Driver d;
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back(fmt::format("{:-<100}{}", "x", i));
  d.Register("a", 1, names);
  constexpr int kExperiments = 30;
  for (int i = 0; i < kExperiments; ++i) d.Create("agent:a", "", fmt::format("{}", i));
  const Outcome outcome = d.Stop({}, /*all=*/true);
  ASSERT_EQ(outcome.result.experiments_size(), kExperiments);
  EXPECT_LT(outcome.result.ByteSizeLong(), StopAnswer::kWholeBytes + (256 << 10));
  EXPECT_EQ(outcome.result.experiments(0).targets_size(), 500);
  EXPECT_EQ(outcome.result.experiments(kExperiments - 1).targets_size(), 0);
  for (const auto& experiment : outcome.result.experiments()) {
    EXPECT_EQ(experiment.phase(), "stopping");
    EXPECT_EQ(d.Get(experiment.experiment_id()).targets_size(), 500);
    EXPECT_EQ(d.PhaseOf(experiment.experiment_id()), chaos::v1::TARGET_PHASE_REVERTING);
  }
}

}  // namespace
}  // namespace faultline::control
