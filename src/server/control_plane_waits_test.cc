// Who waits for what is applied, and what that costs whoever applies it.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "base/clock.h"
#include "raft/memory_snapshot.h"
#include "server/plane_testing.h"

namespace faultline::server {
namespace {

constexpr uint64_t kNever = UINT64_MAX / 2;

class WaitingForEnds : public PlaneTest {
 protected:
  void SetUp() override {
    Register("a");
    for (int i = 0; i < 3; ++i) ids.push_back(StartOn("service:a"));
  }
  // Its agent cannot begin it.
  void End(const std::string& id) {
    control::v1::Command command;
    auto* reports = command.mutable_report_faults();
    reports->set_agent_id("a");
    reports->set_incarnation(1);
    auto* report = reports->add_reports();
    report->set_experiment_id(id);
    report->set_target_id("a/x");
    report->set_phase(chaos::v1::TARGET_PHASE_REFUSED);
    Apply(command);
  }
  static std::future<StatusCode> Wait(ControlPlane& on, const std::vector<std::string>& experiments,
                                      uint64_t deadline_ns = kNever) {
    auto told = std::make_shared<std::promise<StatusCode>>();
    auto end = told->get_future();
    on.WaitForEnds(experiments, deadline_ns,
                   [told](const Status& status) { told->set_value(status.code()); });
    return end;
  }
  static bool IsTold(const std::future<StatusCode>& end) {
    return end.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  // Has the other plane what this one has.
  void Copy(ControlPlane& to) {
    std::string written;
    ASSERT_TRUE(plane.Capture()
                    ->Write([&written](std::string_view piece) {
                      written += piece;
                      return absl::OkStatus();
                    })
                    .ok());
    raft::MemorySource source(std::move(written));
    const auto loaded = to.Load(source);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    to.Restore(index, 1, *loaded);
  }

  std::vector<std::string> ids;
};

TEST_F(WaitingForEnds, LastsUntilEachHasEndedInWhateverOrder) {
  auto last = Wait(plane, {ids[2]}), all = Wait(plane, ids), two = Wait(plane, {ids[1], ids[0]});
  End(ids[2]);
  EXPECT_EQ(last.get(), StatusCode::kOk);
  End(ids[0]);
  timers.Run([] {});
  EXPECT_FALSE(IsTold(all));
  EXPECT_FALSE(IsTold(two));
  End(ids[1]);
  EXPECT_EQ(all.get(), StatusCode::kOk);
  EXPECT_EQ(two.get(), StatusCode::kOk);
}

TEST_F(WaitingForEnds, IsOverAtOnceForWhatHasEndedOrIsNotKnown) {
  End(ids[0]);
  EXPECT_TRUE(IsTold(Wait(plane, {ids[0], "exp-999", ids[0]})));
  EXPECT_TRUE(IsTold(Wait(plane, {})));
  EXPECT_FALSE(IsTold(Wait(plane, {ids[0], ids[1]})));
}

TEST_F(WaitingForEnds, IsLateAtItsDeadlineAndToldNothingMore) {
  EXPECT_EQ(Wait(plane, ids, MonotonicNowNs()).get(), StatusCode::kDeadlineExceeded);
  auto last = Wait(plane, ids);
  for (const std::string& id : ids) End(id);
  EXPECT_EQ(last.get(), StatusCode::kOk);
}

TEST_F(WaitingForEnds, IsOverWithASnapshotThatHasThem) {
  ControlPlane behind(&timers);
  Copy(behind);
  auto all = Wait(behind, ids), first = Wait(behind, {ids[0]});
  End(ids[0]);
  Copy(behind);
  EXPECT_EQ(first.get(), StatusCode::kOk);
  EXPECT_FALSE(IsTold(all));
  End(ids[1]);
  End(ids[2]);
  Copy(behind);
  EXPECT_EQ(all.get(), StatusCode::kOk);
}

TEST_F(WaitingForEnds, FailsWhenTheNodeEnds) {
  auto all = Wait(plane, ids);
  plane.Detach();
  EXPECT_EQ(all.get(), StatusCode::kUnavailable);
  EXPECT_EQ(Wait(plane, ids).get(), StatusCode::kUnavailable);
}

// In time of this thread, of which a slow machine makes both longer.
TEST_F(WaitingForEnds, CostsNothingForWhatEndsNoneOfThem) {
  const auto apply = [this] {
    uint64_t least_ns = UINT64_MAX;
    for (int turn = 0; turn < 3; ++turn) {
      const uint64_t begun_ns = ReadClock(CLOCK_THREAD_CPUTIME_ID);
      for (int i = 0; i < 500; ++i) {
        control::v1::Command command;
        command.mutable_agent_disconnected()->set_agent_id("nobody");
        Apply(command);
      }
      least_ns = std::min(least_ns, ReadClock(CLOCK_THREAD_CPUTIME_ID) - begun_ns);
    }
    return least_ns;
  };
  const uint64_t alone_ns = apply();
  for (int i = 0; i < 2'000; ++i) plane.WaitForEnds(ids, kNever, [](const Status&) {});
  EXPECT_LT(apply(), 10 * alone_ns);
}

}  // namespace
}  // namespace faultline::server
