#include "server/watch_hub.h"

#include <gtest/gtest.h>

#include <atomic>

#include "server/plane_testing.h"

namespace faultline::server {
namespace {

class Watching : public PlaneTest {
 protected:
  void SetUp() override {
    plane.Observe([this](const Change& change) { hub.OnChange(change); });
    Register("a");
  }
  // The hub wakes its watchers there.
  void TearDown() override { timers.Stop(); }
  // Its id.
  std::string Start() { return StartOn("any:yes"); }
  void Stop(const std::string& id) {
    control::v1::Command command;
    command.mutable_stop_experiments()->add_experiment_ids(id);
    Apply(command);
  }
  std::unique_ptr<WatchHub::Watcher> Watch(uint64_t after, const std::string& id = "") {
    chaos::v1::WatchExperimentsRequest request;
    request.set_after_revision(after);
    if (!id.empty()) request.add_experiment_ids(id);
    return hub.Watch(request, [this] { ++woken; });
  }
  // The next message, which is there.
  static chaos::v1::WatchExperimentsResponse Next(WatchHub::Watcher& watcher) {
    auto next = watcher.Next();
    EXPECT_TRUE(next.ok()) << next.status();
    EXPECT_TRUE(next.ok() && next->has_value());
    return next.ok() && *next ? **next : chaos::v1::WatchExperimentsResponse();
  }
  static bool Nothing(WatchHub::Watcher& watcher) {
    const auto next = watcher.Next();
    return next.ok() && !next->has_value();
  }
  static std::string Reason(WatchHub::Watcher& watcher) {
    const auto next = watcher.Next();
    return next.ok() ? "" : DetailOf(next.status())->reason();
  }
  void Restored() {
    Change restored;
    restored.restored = true;
    restored.revision = index;
    hub.OnChange(restored);
  }
  WatchHub hub{&plane, &timers};
  std::atomic<int> woken = 0;
};

TEST_F(Watching, BeginsWithThePresentStateEvenWhenItIsEmpty) {
  const auto watcher = Watch(0);
  const auto first = Next(*watcher);
  EXPECT_TRUE(first.experiments().empty());
  EXPECT_EQ(first.revision(), index);
  EXPECT_TRUE(Nothing(*watcher));
}

TEST_F(Watching, TellsEveryChangeInOrder) {
  const auto watcher = Watch(0);
  Next(*watcher);
  const std::string id = Start();
  Stop(id);
  timers.Run([] {});
  EXPECT_GE(woken, 1);
  EXPECT_EQ(Next(*watcher).experiments(0).phase(), "arming");
  const auto stopping = Next(*watcher);
  EXPECT_EQ(stopping.experiments(0).phase(), "stopping");
  EXPECT_EQ(stopping.revision(), index);
  EXPECT_TRUE(Nothing(*watcher));
}

TEST_F(Watching, ResumesAfterARevision) {
  const std::string first = Start();
  const uint64_t seen = index;
  const auto watcher = Watch(seen);
  EXPECT_TRUE(Nothing(*watcher));
  Stop(first);
  EXPECT_EQ(Next(*watcher).experiments(0).experiment_id(), first);
}

TEST_F(Watching, AfterARevisionThatThisNodeHasNotReachedTellsNothingTwice) {
  const uint64_t seen_elsewhere = index + 2;
  const auto watcher = Watch(seen_elsewhere);
  const std::string id = Start();
  Stop(id);
  ASSERT_EQ(index, seen_elsewhere);
  EXPECT_TRUE(Nothing(*watcher));
}

TEST_F(Watching, AfterAForgottenRevisionIsRefusedWithTheOldestOneThatIsKept) {
  const std::string id = Start();
  const uint64_t seen = index;
  Stop(id);
  const uint64_t last_change = index;
  Register("b");
  Restored();
  const auto late = Watch(seen);
  const auto next = late->Next();
  EXPECT_EQ(next.status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(DetailOf(next.status())->reason(), "COMPACTED");
  EXPECT_EQ(DetailOf(next.status())->metadata().at("compact_revision"),
            fmt::format("{}", last_change));
  EXPECT_TRUE(Nothing(*Watch(last_change))) << "nothing has changed since, so nothing is missed";
}

TEST_F(Watching, TooSlowlyIsCutOff) {
  const auto watcher = Watch(0);
  Next(*watcher);
  for (size_t i = 0; i <= WatchHub::kHistory / 2; ++i) {
    Register(fmt::format("agent-{}", i));
    control::v1::Command command;
    command.mutable_create_experiment()->set_target(fmt::format("agent:agent-{}", i));
    command.mutable_create_experiment()->set_duration_ms(1'000);
    command.mutable_create_experiment()->add_faults();
    Apply(command);
  }
  EXPECT_FALSE(Next(*watcher).experiments().empty()) << "all of it is kept so far";
  control::v1::Command stop;
  stop.mutable_stop_experiments()->set_all(true);
  Apply(stop);
  EXPECT_EQ(Reason(*watcher), "COMPACTED");
}

TEST_F(Watching, AnEndThatIsForgottenAtOnceIsAHole) {
  const auto refuse = [this](const std::string& agent, const std::string& id) {
    control::v1::Command command;
    command.mutable_report_faults()->set_agent_id(agent);
    command.mutable_report_faults()->set_incarnation(1);
    auto* report = command.mutable_report_faults()->add_reports();
    report->set_experiment_id(id);
    report->set_target_id(agent + "/x");
    report->set_phase(chaos::v1::TARGET_PHASE_REFUSED);
    Apply(command);
  };
  const std::string first = StartOn("service:a");
  Register("b");
  for (size_t i = 0; i < control::kMaxFinishedExperiments; ++i) refuse("b", StartOn("service:b"));
  const auto watcher = Watch(index);
  const auto of_one = Watch(index, first);
  EXPECT_TRUE(Nothing(*watcher));
  EXPECT_TRUE(Nothing(*of_one));
  refuse("a", first);
  ASSERT_EQ(plane.With([&](const control::State& state, const auto&) { return state.Find(first); }),
            nullptr)
      << "at version 1 of the commands what was created first goes first";
  EXPECT_EQ(Reason(*watcher), "COMPACTED");
  EXPECT_EQ(Reason(*of_one), "COMPACTED");
  EXPECT_TRUE(Nothing(*Watch(index))) << "who lists again misses nothing from then on";
  const std::string next = StartOn("service:a");
  EXPECT_EQ(Next(*Watch(index - 1)).experiments(0).experiment_id(), next);
}

TEST_F(Watching, OfSomeExperimentsLeavesOutTheOthers) {
  const std::string first = Start();
  const auto watcher = Watch(0, first);
  EXPECT_EQ(Next(*watcher).experiments_size(), 1);
  Register("b");
  control::v1::Command stop;
  stop.mutable_stop_experiments()->set_all(true);
  Apply(stop);
  EXPECT_EQ(Next(*watcher).experiments(0).experiment_id(), first);
  EXPECT_TRUE(Nothing(*watcher));
}

TEST_F(Watching, AnotherClustersRevisionIsRefused) {
  control::v1::Command init;
  init.mutable_init_cluster()->set_cluster_id("one");
  Apply(init);
  chaos::v1::WatchExperimentsRequest request;
  request.set_after_revision(1);
  request.set_cluster_id("two");
  EXPECT_EQ(Reason(*hub.Watch(request, [] {})), "OTHER_CLUSTER");
  request.set_cluster_id("one");
  Start();
  EXPECT_EQ(Next(*hub.Watch(request, [] {})).cluster_id(), "one");
}

TEST_F(Watching, OfALongListAndOfAChangeOfManyComesInParts) {
  for (int i = 0; i < WatchHub::kChunk + 5; ++i) {
    Register(fmt::format("agent-{}", i));
    control::v1::Command command;
    command.mutable_create_experiment()->set_target(fmt::format("agent:agent-{}", i));
    command.mutable_create_experiment()->set_duration_ms(1'000);
    command.mutable_create_experiment()->add_faults();
    Apply(command);
  }
  const auto watcher = Watch(0);
  const auto first = Next(*watcher), second = Next(*watcher);
  EXPECT_EQ(first.experiments_size(), WatchHub::kChunk);
  EXPECT_FALSE(first.partial());
  EXPECT_EQ(second.experiments_size(), 5);
  EXPECT_EQ(first.revision(), first.experiments(WatchHub::kChunk - 1).revision());
  EXPECT_LT(first.revision(), second.experiments(0).revision());
  EXPECT_EQ(second.revision(), index);
  control::v1::Command stop;
  stop.mutable_stop_experiments()->set_all(true);
  Apply(stop);
  for (const auto& some : {watcher.get(), Watch(0).release()}) {
    const std::unique_ptr<WatchHub::Watcher> late(some == watcher.get() ? nullptr : some);
    const auto part = Next(*some), rest = Next(*some);
    EXPECT_EQ(part.experiments_size(), WatchHub::kChunk);
    EXPECT_TRUE(part.partial());
    EXPECT_EQ(part.revision(), index);
    EXPECT_EQ(rest.experiments_size(), 5);
    EXPECT_FALSE(rest.partial());
    EXPECT_EQ(rest.revision(), index);
  }
}

}  // namespace
}  // namespace faultline::server
