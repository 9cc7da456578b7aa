// Seeded random commands against the state machine: what must hold holds after each of them.
#include <gtest/gtest.h>

#include <random>

#include "control/snapshot.h"
#include "control/test_support.h"

namespace faultline::control {
namespace {

using namespace chaos::v1;  // NOLINT: the enumerators of TargetPhase and ExperimentStatus
using testing::Driver;

class Commands {
 public:
  explicit Commands(uint64_t seed) : random_(seed) {}

  v1::Command Next(const State& state) {
    v1::Command command;
    switch (Below(11)) {
      case 0:
        return Register();
      case 1: {
        auto* gone = command.mutable_agent_disconnected();
        gone->set_agent_id(Agent());
        gone->set_incarnation(1 + Below(3));
        gone->set_node_id(1);
        return command;
      }
      case 2: {
        auto* lost = command.mutable_agent_lost();
        lost->set_agent_id(Agent());
        lost->set_incarnation(1 + Below(3));
        return command;
      }
      case 3:
        command.mutable_expire();
        return command;
      case 4:
        return Stop(state);
      case 5:
        return Report(state);
      case 6:
        return Report(state);
      case 7:
        return RecordReport(state);
      case 8: {
        auto* cursor = command.mutable_move_webhooks()->add_cursors();
        cursor->set_name(Agent());
        cursor->set_index(Below(1'000));
        return command;
      }
      case 9:
        command.mutable_raise_version()->set_version(
            static_cast<uint32_t>(1 + Below(kNewestVersion)));
        return command;
      default:
        return Create();
    }
  }

  uint64_t Below(uint64_t limit) { return random_() % limit; }

 private:
  std::string Agent() { return std::string(1, static_cast<char>('a' + Below(3))); }

  v1::Command Register() {
    v1::Command command;
    auto* agent = command.mutable_register_agent()->mutable_agent();
    agent->set_agent_id(Agent());
    agent->set_incarnation(1 + Below(3));
    agent->set_node_id(1);
    if (Below(2)) agent->mutable_lease()->set_seconds(static_cast<int64_t>(1 + Below(60)));
    for (const char* name : {"x", "y"}) {
      auto* target = agent->add_targets();
      target->set_target_id(agent->agent_id() + "/" + name);
      (*target->mutable_labels())["service"] = name;
    }
    auto* tun = agent->add_capabilities();
    tun->set_name("tun");
    tun->set_available(Below(8) != 0);
    return command;
  }

  v1::Command Create() {
    const char* selectors[] = {"service:x", "service:y", "agent:a", "agent:b", "nokey:1", "broken"};
    v1::Command command =
        Driver::CreateCommand(selectors[Below(6)], Below(2) ? fmt::format("r{}", Below(20)) : "",
                              Below(2) ? "egress" : "ingress");
    command.mutable_create_experiment()->set_duration_ms(static_cast<int64_t>(1 + Below(50)));
    return command;
  }

  v1::Command Stop(const State& state) {
    v1::Command command;
    command.mutable_stop_experiments()->set_all(Below(4) == 0);
    if (!state.experiments.empty() && Below(2)) {
      command.mutable_stop_experiments()->add_experiment_ids(
          Some(state).experiment().experiment_id());
    }
    return command;
  }

  v1::Command Report(const State& state) {
    v1::Command command;
    auto* report = command.mutable_report_faults();
    report->set_agent_id(Agent());
    report->set_incarnation(1 + Below(3));
    if (state.experiments.empty()) return command;
    for (const auto& pair : Some(state).experiment().targets()) {
      auto* entry = report->add_reports();
      entry->set_experiment_id(Some(state).experiment().experiment_id());
      entry->set_target_id(pair.target_id());
      entry->set_phase(static_cast<TargetPhase>(Below(7)));
    }
    return command;
  }

  v1::Command RecordReport(const State& state) {
    v1::Command command;
    auto* part = command.mutable_record_report();
    if (state.experiments.empty()) return command;
    part->set_experiment_id(Some(state).experiment().experiment_id());
    auto* target = part->add_targets();
    target->set_target_id(Agent() + "/x");
    target->add_node_ids(1 + Below(3));
    target->mutable_during()->set_packets(Below(1'000));
    target->mutable_before()->set_duration_ns(Below(3));
    target->set_fault_unix_ns(static_cast<int64_t>(Below(3)));
    auto* range = target->add_ranges();
    range->set_incarnation(1 + Below(2));
    range->set_last(Below(100));
    range->set_came(Below(100));
    part->add_events()->set_what(fmt::format("w{}", Below(5)));
    return command;
  }

  const v1::ExperimentRecord& Some(const State& state) {
    return std::next(state.experiments.begin(), static_cast<long>(Below(state.experiments.size())))
        ->second;
  }

  std::mt19937_64 random_;
};

void CheckExperiment(const State& state, const v1::ExperimentRecord& record) {
  const auto& experiment = record.experiment();
  size_t ended = 0;
  for (const auto& pair : experiment.targets()) {
    ended += HasEnded(pair.phase());
    EXPECT_NE(pair.phase(), TARGET_PHASE_UNSPECIFIED);
    const auto agent = state.agents.find(pair.agent_id());
    if (agent != state.agents.end() && !HasEnded(pair.phase())) {
      EXPECT_GE(pair.lease().seconds(), agent->second.lease().seconds());
    }
    if (pair.phase() == TARGET_PHASE_ACTIVE) {
      EXPECT_TRUE(record.was_active());
      EXPECT_EQ(experiment.status(), EXPERIMENT_STATUS_RUNNING);
    }
    if (record.end_cause() != v1::END_CAUSE_UNSPECIFIED) {
      EXPECT_TRUE(HasEnded(pair.phase()) || pair.phase() == TARGET_PHASE_REVERTING);
    }
  }
  const bool all_ended = ended == static_cast<size_t>(experiment.targets_size());
  EXPECT_EQ(IsFinished(experiment), all_ended) << experiment.DebugString();
  EXPECT_EQ(state.unfinished.contains(record.created_index()), !all_ended);
  const std::pair place(experiment.revision(), record.created_index());
  EXPECT_EQ(state.finished.contains(place), all_ended);
  EXPECT_TRUE(state.by_revision.contains(place));
  EXPECT_EQ(state.reported.contains(record.created_index()), record.has_report());
  EXPECT_TRUE(all_ended || !record.has_report());
  EXPECT_EQ(state.by_revision.size(), state.experiments.size());
  EXPECT_EQ(experiment.has_ended_at(), all_ended);
  EXPECT_GT(ToUnixMs(experiment.ends_at()), ToUnixMs(experiment.created_at()));
  std::map<WebhookEventType, int> told;
  for (const auto& notice : record.notices()) {
    EXPECT_LE(notice.index(), experiment.revision());
    ++told[notice.type()];
  }
  for (const auto type :
       {WEBHOOK_EVENT_TYPE_START, WEBHOOK_EVENT_TYPE_STOP, WEBHOOK_EVENT_TYPE_VERDICT}) {
    EXPECT_LE(told[type], 1) << record.DebugString();
  }
  if (all_ended) {
    EXPECT_EQ(experiment.status() == EXPERIMENT_STATUS_COMPLETED, record.was_active());
  }
}

// No name is occupied twice on one target by pairs that have not ended.
void CheckOccupied(const State& state) {
  std::map<std::string, uint64_t> holder;
  for (const uint64_t index : state.unfinished) {
    const auto& record = state.experiments.at(index);
    for (const auto& pair : record.experiment().targets()) {
      if (HasEnded(pair.phase())) continue;
      for (const auto& name : record.faults(static_cast<int>(pair.fault_index())).occupies()) {
        const auto [it, fresh] = holder.emplace(pair.target_id() + " " + name, index);
        EXPECT_TRUE(fresh || it->second == index) << it->first;
      }
    }
  }
}

TEST(RandomCommands, KeepEveryInvariantAndMakeEqualMachines) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Commands commands(seed);
    State first, second;
    int64_t now_ms = testing::kStartMs;
    for (uint64_t index = 1; index <= 300; ++index) {
      v1::Command command = commands.Next(first);
      now_ms += static_cast<int64_t>(commands.Below(5));
      command.set_time_unix_ms(now_ms);
      const std::string before = commands.Below(10) == 0 ? ToSnapshot(first) : "";
      const Outcome outcome = Apply(first, command, index);
      const Outcome same = Apply(second, command, index);
      EXPECT_EQ(outcome.result.DebugString(), same.result.DebugString());
      EXPECT_EQ(outcome.experiments, same.experiments);
      if (outcome.result.has_error() && !before.empty()) {
        EXPECT_EQ(ToSnapshot(first), before);
      }
      for (const auto& [created, record] : first.experiments) CheckExperiment(first, record);
      CheckOccupied(first);
      if (index % 50 == 0) {
        ASSERT_EQ(ToSnapshot(first), ToSnapshot(second));
        auto restored = FromSnapshot(ToSnapshot(second));
        ASSERT_TRUE(restored.ok());
        EXPECT_EQ(restored->unfinished_of_agent, second.unfinished_of_agent);
        EXPECT_EQ(restored->unfinished_of_target, second.unfinished_of_target);
        EXPECT_EQ(restored->by_end, second.by_end);
        second = *std::move(restored);
      }
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(RandomCommands, EveryExperimentEndsOnceItsTimeIsUpAndItsAgentsAnswerOrAreLost) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Commands commands(seed);
    Driver d;
    for (int i = 0; i < 200; ++i) d.Apply(commands.Next(d.state));
    d.now_ms += 1'000;
    d.Expire();
    for (const auto& [id, agent] : d.state.agents) d.Lose(id, agent.incarnation());
    EXPECT_TRUE(d.state.unfinished.empty());
  }
}

}  // namespace
}  // namespace faultline::control
