// What an agent tells the drivers that it makes.
#include <gtest/gtest.h>

#include <filesystem>

#include "agent/agent.h"

namespace faultline::agent {
namespace {

TEST(AgentStart, DriversAreToldWhatTheConfigurationProtects) {
  char pattern[] = "/tmp/start_test_XXXXXX";
  const std::string folder = mkdtemp(pattern);
  Config config;
  config.agent_id = "host-1";
  config.state_dir = folder;
  config.controllers = {"127.0.0.1:8400"};
  config.protected_ports = {2222};
  std::vector<uint16_t> told;
  FaultGroups groups;
  groups.make_drivers =
      [&](const faults::DriverContext& context) -> StatusOr<std::vector<faults::NamedDriver>> {
    told = context.own_ports;
    return MakeError(StatusCode::kFailedPrecondition, "no drivers here");
  };
  auto journal = *UndoJournal::Open(folder + "/undo.journal");
  auto guardian = *Guardian::Fork(
      {folder + "/undo.journal", -1, [](const auto&, const auto&) { return absl::OkStatus(); }});
  EXPECT_FALSE(Agent::Start(config, groups, guardian.get(), journal.get()).ok());
  EXPECT_EQ(told, (std::vector<uint16_t>{7400, 7401, 8400, 2222}));
  guardian.reset();
  journal.reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace faultline::agent
