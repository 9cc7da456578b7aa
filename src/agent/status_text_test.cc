#include "agent/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(StatusText, TellsWhatIsArmedAndForHowLong) {
  ::agent::v1::StatusResponse status;
  status.mutable_agent()->set_agent_id("host-1");
  status.mutable_lease_left()->set_seconds(7);
  auto* fault = status.add_faults();
  fault->set_experiment_id("e1");
  fault->set_target_id("host-1/a");
  fault->set_kind("SOME_KIND");
  fault->set_phase(chaos::v1::TARGET_PHASE_ACTIVE);
  fault->set_armed(true);
  fault->mutable_time_left()->set_seconds(42);
  auto* capability = status.mutable_agent()->add_capabilities();
  capability->set_name("lsm");
  capability->set_reason("lockdown forbids it");
  const std::string text = StatusText(status);
  EXPECT_THAT(text, HasSubstr("lease       7.0 s left\n"));
  EXPECT_THAT(text,
              HasSubstr("ACTIVE     SOME_KIND on host-1/a, experiment e1 fault 0, 42 s left"));
  EXPECT_THAT(text, HasSubstr("lsm              no   lockdown forbids it\n"));
}

TEST(StatusText, TellsWhatCouldNotBeUndone) {
  ::agent::v1::StatusResponse status;
  EXPECT_THAT(StatusText(status), Not(HasSubstr("LEFT")));
  status.add_left_behind("removing our filter from eth0 failed: Device busy");
  EXPECT_THAT(StatusText(status),
              HasSubstr("  LEFT BEHIND, tried again: removing our filter from eth0 failed: Device "
                        "busy\n"));
}

TEST(StatusText, TellsWhatKeepsTargetsFromBeingMeasuredAndWhatMay) {
  ::agent::v1::StatusResponse status;
  EXPECT_THAT(StatusText(status), Not(HasSubstr("warning")));
  status.add_problems("host-1/a: netns 'shop' is another one now");
  status.add_warnings("host-1/b: other people's filters stand before Faultline's");
  EXPECT_THAT(StatusText(status),
              HasSubstr("  problem: host-1/a: netns 'shop' is another one now\n"
                        "  warning: host-1/b: other people's filters stand before Faultline's\n"));
}

TEST(StatusText, JsonHasTheFieldNamesOfTheContract) {
  ::agent::v1::StatusResponse status;
  status.set_guardian_pid(12);
  EXPECT_THAT(StatusJson(status), HasSubstr("\"guardian_pid\":\"12\""));
}

}  // namespace
}  // namespace faultline::agent
