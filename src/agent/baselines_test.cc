#include "agent/baselines.h"

#include <gmock/gmock.h>

#include "base/histogram.h"

namespace faultline::agent {
namespace {

using testing::ElementsAre;

constexpr int64_t kSecondNs = 1'000'000'000;

// A second of the targets, of which `faulty` has a fault, with so many buckets in use.
chaos::v1::MetricsBatch Batch(uint64_t sequence, const std::vector<std::string>& targets,
                              const std::string& faulty, unsigned buckets) {
  chaos::v1::MetricsBatch batch;
  batch.mutable_position()->set_incarnation(7);
  batch.mutable_position()->set_sequence(sequence);
  batch.set_timestamp_ns(static_cast<int64_t>(sequence) * kSecondNs);
  batch.set_interval_ns(kSecondNs);
  Histogram histogram;
  for (unsigned i = 0; i < buckets; ++i) histogram.AddToBucket(i, 1'000'000);
  for (const std::string& target : targets) {
    auto* sample = batch.add_samples();
    sample->set_target_id(target);
    *sample->mutable_latency() = histogram.ToSparse();
    if (target == faulty) sample->add_faults()->set_experiment_id("e1");
  }
  return batch;
}

std::vector<std::string> GivenBy(const Baselines& baselines) {
  std::vector<std::string> ids;
  for (const auto& message : baselines.Give()) {
    for (const auto& given : message.targets()) ids.push_back(given.target_id());
  }
  return ids;
}

TEST(Baselines, GivesTargetsWithAFaultFirst) {
  Baselines baselines;
  baselines.Add(Batch(1, {"a/x", "a/y", "a/z"}, "", 1));
  baselines.Add(Batch(2, {"a/x", "a/y", "a/z"}, "a/y", 1));
  EXPECT_THAT(GivenBy(baselines), ElementsAre("a/y", "a/x", "a/z"));
  const auto messages = baselines.Give();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].metrics_sequence(), 2u);
  EXPECT_EQ(messages[0].targets(0).slots_size(), 1) << "the fault's time is not in it";
  EXPECT_EQ(messages[0].targets(0).faults(0).experiment_id(), "e1");
  EXPECT_EQ(messages[0].targets(0).faults(0).sequence(), 2u);
  EXPECT_EQ(messages[0].targets(1).slots_size(), 2);
}

TEST(Baselines, GivesNothingBeforeTheFirstBatch) { EXPECT_TRUE(Baselines().Give().empty()); }

TEST(Baselines, GivesNoMoreThanThereIsRoomForInMessagesThatHoldNothingUp) {
  Baselines baselines;
  std::vector<std::string> targets;
  for (int i = 0; i < 400; ++i) targets.push_back("a/" + std::to_string(1'000 + i));
  for (uint64_t sequence = 1; sequence <= 10; ++sequence) {
    baselines.Add(Batch(sequence, targets, "", 100));
  }
  baselines.Add(Batch(11, targets, targets.back(), 100));
  size_t bytes = 0;
  for (const auto& message : baselines.Give()) {
    EXPECT_EQ(message.metrics_sequence(), 11u);
    EXPECT_LT(message.ByteSizeLong(), Baselines::kMaxMessageBytes + 10'000);
    bytes += message.ByteSizeLong();
  }
  EXPECT_LT(bytes, Baselines::kMaxGivenBytes + 100'000);
  const std::vector<std::string> given = GivenBy(baselines);
  EXPECT_GT(given.size(), 100u);
  EXPECT_LT(given.size(), 400u);
  EXPECT_EQ(given[0], targets.back());
}

TEST(Baselines, ATargetThatIsLargerThanAMessageIsOneByItself) {
  Baselines baselines;
  baselines.SetKept(std::chrono::seconds(60));
  for (uint64_t sequence = 1; sequence <= 60; ++sequence) {
    baselines.Add(Batch(sequence, {"a/x", "a/y"}, "", 1'000));
  }
  const auto messages = baselines.Give();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_GT(messages[0].ByteSizeLong(), Baselines::kMaxMessageBytes);
}

TEST(Baselines, KeepsAsMuchAsANodeTells) {
  Baselines baselines;
  const auto seconds_given = [&baselines] {
    return baselines.Give().at(0).targets(0).slots_size();
  };
  baselines.SetKept(std::chrono::seconds(30));
  for (uint64_t sequence = 1; sequence <= 50; ++sequence) {
    baselines.Add(Batch(sequence, {"a/x"}, "", 1));
  }
  EXPECT_EQ(seconds_given(), 30);
  baselines.SetKept(std::chrono::seconds(0));
  baselines.Add(Batch(51, {"a/x"}, "", 1));
  EXPECT_EQ(seconds_given(), 30) << "an older node tells nothing";
  baselines.SetKept(std::chrono::seconds(5));
  baselines.Add(Batch(52, {"a/x"}, "", 1));
  EXPECT_EQ(seconds_given(), 5);
}

}  // namespace
}  // namespace faultline::agent
