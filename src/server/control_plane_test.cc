#include "server/control_plane.h"

#include <gtest/gtest.h>

#include <future>

#include "base/clock.h"
#include "raft/memory_snapshot.h"
#include "server/node_testing.h"

namespace faultline::server {
namespace {

control::v1::Command Stop() {
  control::v1::Command command;
  command.mutable_stop_experiments()->set_all(true);
  return command;
}

control::v1::Command Raise(uint32_t version) {
  control::v1::Command command;
  command.mutable_raise_version()->set_version(version);
  command.set_version(control::VersionOf(command));
  return command;
}

class Proposing : public ::testing::Test {
 protected:
  void SetUp() override { plane.Attach(&node); }
  void TearDown() override { plane.Detach(); }
  Status Propose(const control::v1::Command& command, uint64_t deadline_ns = UINT64_MAX) {
    Status status;
    plane.Propose(command, deadline_ns, [&](const auto& proposed) { status = proposed.status(); });
    return status;
  }
  Strand timers{"timers"};
  ControlPlane plane{&timers, /*version=*/1};
  SilentNode node;  // ends first, as nodes do: what waits in it counts in the plane's gates
};

TEST_F(Proposing, TooLateProposesNothing) {
  EXPECT_EQ(DetailOf(Propose(Stop(), MonotonicNowNs() - 1))->reason(), "TOO_LATE");
  EXPECT_TRUE(node.commands.empty());
  EXPECT_TRUE(Propose(Stop()).ok());
  EXPECT_EQ(node.commands.size(), 1u);
}

TEST_F(Proposing, TheNodeIsToldTheDeadlineOnItsOwnClock) {
  constexpr uint64_t kLeftNs = 1'000 * kNanosPerSecond;
  const uint64_t before_ns = BoottimeNowNs();
  ASSERT_TRUE(Propose(Stop(), MonotonicNowNs() + kLeftNs).ok());
  ASSERT_TRUE(Propose(Stop()).ok());
  ASSERT_EQ(node.deadlines_ns.size(), 2u);
  EXPECT_GT(node.deadlines_ns[0], before_ns + kLeftNs / 2);
  EXPECT_LE(node.deadlines_ns[0], BoottimeNowNs() + kLeftNs);
  EXPECT_EQ(node.deadlines_ns[1], 0u) << "there is none";
}

TEST_F(Proposing, MoreThanMayWaitIsRefusedWithATimeToComeBack) {
  std::vector<Status> answers;
  for (size_t i = 0; i < ControlPlane::kMaxPending; ++i) {
    plane.Propose(Stop(), UINT64_MAX, [&](const auto& p) { answers.push_back(p.status()); });
  }
  EXPECT_TRUE(answers.empty());
  plane.Propose(Stop(), UINT64_MAX, [&](const auto& p) { answers.push_back(p.status()); });
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(DetailOf(answers[0])->has_retry_after());
  EXPECT_EQ(node.commands.size(), ControlPlane::kMaxPending);
  node.waiting.clear();
  plane.Propose(Stop(), UINT64_MAX, [](const auto&) {});
  EXPECT_EQ(node.waiting.size(), 1u) << "what was answered makes room";
}

TEST_F(Proposing, WhatThisNodeCannotApplyIsRefused) {
  plane.Propose(Raise(2), UINT64_MAX, [](const auto& proposed) {
    EXPECT_EQ(DetailOf(proposed.status())->reason(), "CLUSTER_VERSION");
  });
  EXPECT_TRUE(node.commands.empty());
}

TEST_F(Proposing, ACommandOfALaterVersionStopsTheNodeWithASentence) {
  EXPECT_TRUE(plane.health().ok());
  plane.Apply(1, 1, Stop().SerializeAsString(), /*wanted=*/false);
  plane.Apply(2, 1, Raise(2).SerializeAsString(), /*wanted=*/false);
  EXPECT_EQ(
      ToString(plane.health().message()),
      "the command at 2 is of version 2, and this program knows versions up to 1: start a newer "
      "faultline-controller on this data directory");
  plane.Apply(3, 1, Stop().SerializeAsString(), /*wanted=*/false);
  EXPECT_EQ(plane.version().revision(), 1u) << "nothing is applied after it";
}

// The time of an experiment that is under way.
class Clock : public Proposing {
 protected:
  static constexpr int64_t kThenMs = 1'000'000;  // a long time ago, by this machine's clock
  void Lead() {
    raft::View view;
    view.role = raft::Role::kLeader;
    view.term = 2;
    node.See(view);
  }
  void Apply(control::v1::Command command) {
    command.set_time_unix_ms(kThenMs);
    plane.Apply(++index, 1, command.SerializeAsString(), /*wanted=*/false);
  }
  void Begin() {
    control::v1::Command command;
    auto* agent = command.mutable_register_agent()->mutable_agent();
    agent->set_agent_id("a");
    auto* target = agent->add_targets();
    target->set_target_id("a/x");
    (*target->mutable_labels())["service"] = "x";
    Apply(command);
    command.mutable_create_experiment()->set_target("service:x");
    command.mutable_create_experiment()->set_duration_ms(1'000);
    command.mutable_create_experiment()->add_faults();
    Apply(command);
  }
  // Of what was proposed last.
  int64_t StampMs() {
    control::v1::Command command;
    EXPECT_TRUE(Propose(Stop()).ok());
    EXPECT_TRUE(command.ParseFromString(node.commands.back()));
    return command.time_unix_ms();
  }
  uint64_t index = 0;
};

TEST_F(Clock, StampsCommandsAndGoesOnWhileAnExperimentIsUnderWay) {
  const int64_t before_ms = UnixNowMs();
  Lead();
  EXPECT_GE(StampMs(), before_ms);
  Begin();
  const int64_t first_ms = StampMs();
  EXPECT_GE(first_ms, before_ms);
  EXPECT_GE(plane.unix_ms(), first_ms);
}

TEST_F(Clock, KnowsSinceWhenANodeHasHeardOfAnExperiment) {
  EXPECT_EQ(plane.KnownMs(2), INT64_MAX);
  const uint64_t before_ns = BoottimeNowNs();
  Begin();
  EXPECT_LE(plane.KnownMs(2), static_cast<int64_t>((BoottimeNowNs() - before_ns) / kNanosPerMilli));
}

TEST_F(Proposing, ASnapshotOfALaterVersionIsRefused) {
  Strand other_timers("timers");
  ControlPlane newer(&other_timers, 2);
  newer.Apply(1, 1, Raise(2).SerializeAsString(), /*wanted=*/false);
  std::string written;
  ASSERT_TRUE(newer.Capture()
                  ->Write([&written](std::string_view piece) {
                    written += piece;
                    return absl::OkStatus();
                  })
                  .ok());
  raft::MemorySource source(std::move(written));
  EXPECT_EQ(DetailOf(plane.Load(source).status())->reason(), "CLUSTER_VERSION");
}

TEST_F(Proposing, WhoWaitsForARevisionIsToldWhenItIsAppliedOrTooLate) {
  std::vector<StatusCode> told;
  plane.WaitForRevision(2, UINT64_MAX / 2, [&](const Status& s) { told.push_back(s.code()); });
  plane.Apply(1, 1, Stop().SerializeAsString(), /*wanted=*/false);
  EXPECT_TRUE(told.empty());
  plane.Apply(2, 1, Stop().SerializeAsString(), /*wanted=*/false);
  plane.WaitForRevision(1, 0, [&](const Status& s) { told.push_back(s.code()); });
  EXPECT_EQ(told, (std::vector<StatusCode>{StatusCode::kOk, StatusCode::kOk}));
  std::promise<Status> late;
  plane.WaitForRevision(9, 0, [&](const Status& s) { late.set_value(s); });
  EXPECT_EQ(late.get_future().get().code(), StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace faultline::server
