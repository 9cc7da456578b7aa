#include "control/webhook_events.h"

#include <gtest/gtest.h>

#include "control/begin_anew.h"
#include "control/snapshot.h"
#include "control/test_support.h"

namespace faultline::control {
namespace {

using testing::Driver;

const WebhookTypes kAll = {chaos::v1::WEBHOOK_EVENT_TYPE_START, chaos::v1::WEBHOOK_EVENT_TYPE_STOP,
                           chaos::v1::WEBHOOK_EVENT_TYPE_VERDICT,
                           chaos::v1::WEBHOOK_EVENT_TYPE_HALT,
                           chaos::v1::WEBHOOK_EVENT_TYPE_LOST_TARGET};

class WebhookEvents : public ::testing::Test {
 protected:
  void SetUp() override {
    v1::Command init;
    init.mutable_init_cluster()->set_cluster_id("c");
    d.Apply(init);
    RaiseTo(4);
    d.Register("a", 1, {"x", "y"});
  }
  void RaiseTo(uint32_t version) {
    v1::Command raise;
    raise.mutable_raise_version()->set_version(version);
    d.Apply(raise);
  }
  // "start, lost_target a/x, ..." after that place.
  std::string Told(const NoticePlace& after = {}, const WebhookTypes& types = kAll) const {
    std::string told;
    for (const auto& [place, event] : EventsAfter(d.state, after, types, 100)) {
      told += (told.empty() ? "" : ", ") + event.type();
      if (!event.target_id().empty()) told += " " + event.target_id();
    }
    return told;
  }
  chaos::v1::WebhookEvent Newest() const {
    return EventsAfter(d.state, {}, kAll, 100).back().event;
  }
  Outcome Halt(const std::string& experiment, const std::string& target) {
    v1::Command command;
    command.mutable_report_faults()->set_agent_id("a");
    command.mutable_report_faults()->set_incarnation(1);
    auto* report = command.mutable_report_faults()->add_reports();
    report->set_experiment_id(experiment);
    report->set_target_id(target);
    report->set_phase(chaos::v1::TARGET_PHASE_REVERTED);
    report->set_reason("halted locally");
    report->set_halted(true);
    return d.Apply(command);
  }
  Driver d;
};

TEST_F(WebhookEvents, TellOfStartStopAndVerdictEachOnce) {
  const std::string id = d.Create("agent:a");
  EXPECT_EQ(Told(), "");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  d.Report("a", 1, id, "a/y", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(Told(), "start");
  d.Stop({id});
  d.Stop({id});
  EXPECT_EQ(Told(), "start, stop");
  EXPECT_EQ(Newest().reason(), "stopped by tester");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_EQ(Told(), "start, stop");
  d.Report("a", 1, id, "a/y", chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_EQ(Told(), "start, stop, verdict");
  const auto verdict = Newest();
  EXPECT_EQ(verdict.id(), "c." + id + ".2");
  EXPECT_EQ(verdict.status(), "completed");
  EXPECT_EQ(verdict.phase(), "stopped");
  EXPECT_EQ(verdict.targets().reverted(), 2u);
  EXPECT_EQ(verdict.faults(0).kind(), "KIND");
  EXPECT_EQ(ToUnixMs(verdict.time()), d.now_ms);
}

TEST_F(WebhookEvents, TellOfTheStopOfOneThatItsAgentsRevertWhenItsTimeIsUp) {
  const auto revert_at_its_end = [this] {
    const std::string id = d.Create("service:x");
    d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
    const uint64_t before = d.index;
    d.now_ms = ToUnixMs(d.Get(id).ends_at());
    d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_REVERTED);
    EXPECT_EQ(Newest().reason(), "its time is up");
    return Told(AfterIndex(before));
  };
  RaiseTo(10);
  EXPECT_EQ(revert_at_its_end(), "verdict");
  RaiseTo(11);
  EXPECT_EQ(revert_at_its_end(), "stop, verdict");
}

TEST_F(WebhookEvents, OfAnExperimentThatNeverBeganAreItsVerdictOnly) {
  const std::string id = d.Create("service:x");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_REFUSED, "no tun");
  EXPECT_EQ(Told(), "verdict");
  EXPECT_EQ(Newest().status(), "failed");
  EXPECT_EQ(Newest().reason(), "no tun");
  EXPECT_EQ(Newest().targets().refused(), 1u);
}

TEST_F(WebhookEvents, TellOfEachLostTarget) {
  const std::string id = d.Create("agent:a");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  d.Lose("a", 1);
  EXPECT_EQ(Told(), "start, lost_target a/x, lost_target a/y, verdict");
  EXPECT_EQ(Newest().targets().lost(), 2u);
}

TEST_F(WebhookEvents, TellOfAHaltOnceForEachAgentAndNotWhenTheFaultWasEndingAnyway) {
  const std::string id = d.Create("agent:a");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  Halt(id, "a/x");
  Halt(id, "a/y");
  EXPECT_EQ(Told(), "start, halt, verdict");
  EXPECT_EQ(EventsAfter(d.state, {}, kAll, 2).back().event.agent_id(), "a");
  const std::string stopped = d.Create("agent:a");
  const uint64_t before = d.index;
  d.Stop({stopped});
  Halt(stopped, "a/x");
  EXPECT_EQ(Told(AfterIndex(before)), "stop");
}

TEST_F(WebhookEvents, ComeInTheLogsOrderFromAnyPlaceAndOfTheTypesAskedFor) {
  const std::string first = d.Create("service:x");
  const std::string second = d.Create("service:y");
  d.Report("a", 1, first, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  d.Report("a", 1, second, "a/y", chaos::v1::TARGET_PHASE_ACTIVE);
  d.Stop({first});
  const auto all = EventsAfter(d.state, {}, kAll, 100);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].event.experiment_id(), first);
  EXPECT_EQ(all[1].event.experiment_id(), second);
  EXPECT_EQ(all[2].event.experiment_id(), first);
  EXPECT_EQ(Told(all[0].place), "start, stop");
  EXPECT_EQ(Told(AfterIndex(all[1].place.index)), "stop");
  EXPECT_EQ(Told({}, {chaos::v1::WEBHOOK_EVENT_TYPE_STOP}), "stop");
  const auto limited = EventsAfter(d.state, {}, kAll, 2);
  ASSERT_EQ(limited.size(), 2u);
  EXPECT_EQ(limited[1].place, all[1].place);
}

TEST_F(WebhookEvents, AreTheSameFromASnapshotAndOnceMoreHappened) {
  const std::string id = d.Create("agent:a");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  d.Stop({id});
  const auto before = EventsAfter(d.state, {}, kAll, 100);
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_REVERTED);
  d.Report("a", 1, id, "a/y", chaos::v1::TARGET_PHASE_REVERTED);
  const auto restored = FromSnapshot(ToSnapshot(d.state));
  ASSERT_TRUE(restored.ok());
  const auto after = EventsAfter(*restored, {}, kAll, 100);
  ASSERT_EQ(after.size(), 3u);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].event.DebugString(), before[i].event.DebugString());
  }
}

TEST(WebhookVersions, BeforeFourNothingIsNoted) {
  Driver d;
  d.Register("a", 1, {"x"});
  const std::string id = d.Create("service:x");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(d.state.Find(id)->notices_size(), 0);
  EXPECT_TRUE(EventsAfter(d.state, {}, kAll, 100).empty());
}

TEST_F(WebhookEvents, HaveCursorsThatOnlyMoveForwardAreSavedAndBelongToTheCluster) {
  v1::Command move;
  move.mutable_move_webhooks()->add_cursors()->set_name("ops");
  move.mutable_move_webhooks()->mutable_cursors(0)->set_index(7);
  EXPECT_EQ(VersionOf(move), 4u);
  d.Apply(move);
  move.mutable_move_webhooks()->mutable_cursors(0)->set_index(5);
  d.Apply(move);
  EXPECT_EQ(d.state.webhooks, (std::map<std::string, uint64_t>{{"ops", 7}}));
  auto restored = FromSnapshot(ToSnapshot(d.state));
  ASSERT_TRUE(restored.ok());
  EXPECT_EQ(restored->webhooks, d.state.webhooks);
  BeginAnew(&*restored, "another", "restored", {d.index + 1, d.now_ms});
  EXPECT_TRUE(restored->webhooks.empty());
}

TEST_F(WebhookEvents, KeepABoundedNumberOfCursors) {
  for (uint64_t i = 1; i <= kMaxWebhookCursors + 10; ++i) {
    v1::Command move;
    auto* cursor = move.mutable_move_webhooks()->add_cursors();
    cursor->set_name(fmt::format("hook-{}", i));
    cursor->set_index(i);
    d.Apply(move);
  }
  EXPECT_EQ(d.state.webhooks.size(), kMaxWebhookCursors);
  EXPECT_FALSE(d.state.webhooks.contains("hook-10"));
  EXPECT_TRUE(d.state.webhooks.contains("hook-11"));
}

}  // namespace
}  // namespace faultline::control
