// What a recorder makes of a snapshot, which comes instead of the changes before it.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "control/test_support.h"
#include "raft/memory_snapshot.h"
#include "server/plane_testing.h"
#include "server/recorder_testing.h"

namespace faultline::server {
namespace {

using namespace recorder_testing;
using control::testing::Driver;
using Words = std::vector<std::string>;

constexpr uint64_t kQuick = 1'000'000, kSlow = 11'000'000;

// An experiment on "a/x", and a node's recorder that hears of it when it is told.
class RecorderRestore : public ::testing::Test {
 protected:
  void SetUp() override {
    driver_.Register("a", 1, {"x"});
    id_ = driver_.Create("service:x");
    ASSERT_NE(id_, "") << driver_.error;
  }
  void TellNow() { Tell(&recorder_, driver_.Get(id_), kSecond, driver_.now_ms); }
  void Restart() { recorder_.Restart(driver_.state, kSecond, driver_.now_ms); }
  void Report(chaos::v1::TargetPhase phase) { driver_.Report("a", 1, id_, "a/x", phase); }
  void End() {
    driver_.Stop({id_});
    Report(chaos::v1::TARGET_PHASE_REVERTED);
    ASSERT_TRUE(control::IsFinished(driver_.Get(id_)));
  }
  std::vector<control::v1::RecordReport> Due(bool leads) {
    return recorder_.Due(kSecond + Recorder::kPatienceNs, leads);
  }
  Words Events() {
    Words words;
    for (const auto& part : Due(true)) {
      for (const auto& event : part.events()) words.push_back(event.what());
    }
    return words;
  }

  Driver driver_;
  std::string id_;
  Recorder recorder_{1};
  Agent agent_{&recorder_};
};

TEST_F(RecorderRestore, WhatEndedInASnapshotIsReported) {
  TellNow();
  agent_.Measure(20, kQuick);
  agent_.Measure(50, kSlow, id_);
  Report(chaos::v1::TARGET_PHASE_ACTIVE);
  End();
  Restart();
  const auto parts = Due(false);
  ASSERT_EQ(parts.size(), 1u);
  ASSERT_EQ(parts[0].targets_size(), 1);
  EXPECT_EQ(Count(parts[0].targets(0).during()), 50u);
}

// Its agents sent here all the time that this node's log was behind.
TEST_F(RecorderRestore, WhatBeganAndEndedBeforeASnapshotIsReportedHoweverLongAgo) {
  agent_.Measure(50, kSlow, id_);
  agent_.Measure(101, kQuick);
  Due(false);
  Report(chaos::v1::TARGET_PHASE_ACTIVE);
  End();
  recorder_.Restart(driver_.state, kSecond, driver_.now_ms + 3'600'000);
  ASSERT_EQ(Due(false).size(), 1u);
}

TEST_F(RecorderRestore, ALeaderThatBeganWithASnapshotTellsThatAFaultWasActive) {
  Report(chaos::v1::TARGET_PHASE_ACTIVE);
  Restart();
  driver_.Stop({id_});
  TellNow();
  Report(chaos::v1::TARGET_PHASE_REVERTED);
  TellNow();
  EXPECT_EQ(Events(), Words({"created", "active", "reverting", "reverted", "completed"}));
}

// Else it would say that the fault was never active.
TEST_F(RecorderRestore, ThatAnEndHadBegunWhenTheSnapshotWasMadeIsNotTold) {
  Report(chaos::v1::TARGET_PHASE_ACTIVE);
  driver_.Stop({id_});
  Restart();
  Report(chaos::v1::TARGET_PHASE_REVERTED);
  TellNow();
  EXPECT_EQ(Events(), Words({"created", "reverted", "completed"}));
}

TEST_F(RecorderRestore, WhatASnapshotKnowsNoMoreIsForgotten) {
  TellNow();
  agent_.Measure(50, kSlow, id_);
  recorder_.Restart(control::State(), kSecond, driver_.now_ms);
  Report(chaos::v1::TARGET_PHASE_ACTIVE);
  End();
  TellNow();
  EXPECT_TRUE(Due(false).empty()) << "its course is kept";
}

TEST_F(RecorderRestore, EventsThatAreRecordedAreNotToldAgain) {
  Report(chaos::v1::TARGET_PHASE_ACTIVE);
  End();
  control::v1::Command command;
  command.mutable_record_report()->set_experiment_id(id_);
  command.mutable_record_report()->add_events()->set_what("created");
  driver_.Apply(command);
  Restart();
  EXPECT_TRUE(Due(true).empty());
}

// Of a node that applied everything, and of one that lagged and got a snapshot of it.
class RecordedChanges : public PlaneTest {
 protected:
  void Report(const std::string& id, chaos::v1::TargetPhase phase) {
    control::v1::Command command;
    command.mutable_report_faults()->set_agent_id("a");
    command.mutable_report_faults()->set_incarnation(1);
    auto* report = command.mutable_report_faults()->add_reports();
    report->set_experiment_id(id);
    report->set_target_id("a/x");
    report->set_phase(phase);
    Apply(command);
  }
  void RunAndEnd(const std::string& id) {
    Report(id, chaos::v1::TARGET_PHASE_ACTIVE);
    control::v1::Command stop;
    stop.mutable_stop_experiments()->add_experiment_ids(id);
    Apply(stop);
    Report(id, chaos::v1::TARGET_PHASE_REVERTED);
  }
  void Install(ControlPlane* into) {
    std::string bytes;
    const Status written = plane.Capture()->Write([&bytes](std::string_view piece) {
      bytes += piece;
      return absl::OkStatus();
    });
    ASSERT_TRUE(written.ok()) << written;
    raft::MemorySource source(bytes);
    auto loaded = into->Load(source);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    into->Restore(index, 1, *std::move(loaded));
  }
  static std::vector<control::v1::RecordReport> DueSoon(Recorder* recorder) {
    return recorder->Due(MonotonicNowNs() + Recorder::kPatienceNs, /*leads=*/true);
  }
};

TEST_F(RecordedChanges, AreThoseThatAreAppliedAndThoseThatASnapshotTells) {
  Recorder recorder(1), lagging_recorder(2);
  ControlPlane lagging(&timers);
  plane.Observe(RecordChanges(&plane, &recorder));
  lagging.Observe(RecordChanges(&lagging, &lagging_recorder));
  Register("a");
  const std::string id = StartOn("service:a");
  for (Recorder* node : {&recorder, &lagging_recorder}) Agent(node).Measure(50, kSlow, id);
  RunAndEnd(id);
  EXPECT_TRUE(DueSoon(&lagging_recorder).empty()) << "it has not heard of it";
  ASSERT_NO_FATAL_FAILURE(Install(&lagging));
  for (Recorder* node : {&recorder, &lagging_recorder}) {
    const auto parts = DueSoon(node);
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_EQ(parts[0].experiment_id(), id);
    ASSERT_EQ(parts[0].targets_size(), 1);
    EXPECT_EQ(Count(parts[0].targets(0).during()), 50u);
    Words words;
    for (const auto& event : parts[0].events()) words.push_back(event.what());
    EXPECT_EQ(words, node == &recorder
                         ? Words({"created", "active", "reverting", "reverted", "completed"})
                         : Words({"created", "reverted", "completed"}));
  }
}

}  // namespace
}  // namespace faultline::server
