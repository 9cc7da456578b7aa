// A real process that is killed (SIGKILL) at any moment while it writes commands and, every few of
// them, a snapshot: between any two of the snapshot's steps. What it had acknowledged is there.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <random>

#include "raft/load_snapshot.h"
#include "raft/log_store.h"
#include "raft/node.h"
#include "raft/test_dir.h"
#include "raft/test_machine.h"

namespace faultline::raft {
namespace {

class NoTransport final : public Transport {
 public:
  void Send(const Member&, std::string) override {}
  Status FetchSnapshot(const Member&, const Snapshot&, uint64_t, const ByteSink&) override {
    return absl::UnavailableError("there is nobody");
  }
  void StopFetching() override {}
};

// In the child: proposes for ever, and tells the pipe what was acknowledged.
[[noreturn]] void Work(const std::string& dir, uint64_t next, int pipe) {
  TestMachine machine;
  NoTransport transport;
  Options options;
  options.id = 1;
  options.members = {{1, "127.0.0.1:1"}};
  options.data_dir = dir;
  options.election_timeout = std::chrono::milliseconds(20);
  options.heartbeat = std::chrono::milliseconds(5);
  options.snapshot_every = 3;
  options.snapshot_trailing = 1;
  auto node = Node::Start(options, &machine, &transport);
  if (!node.ok()) {
    std::fprintf(stderr, "%s\n", node.status().ToString().c_str());
    _exit(1);
  }
  for (;;) {
    std::promise<bool> answer;
    // Long enough for a snapshot to be worth it every time.
    (*node)->Propose(fmt::format("{} {}", next, std::string(4'000, 'x')),
                     [&](const auto& result) { answer.set_value(result.ok()); });
    if (!answer.get_future().get()) continue;
    if (write(pipe, &next, sizeof next) != sizeof next) _exit(2);
    ++next;
  }
}

// What stands in the directory, in order.
std::vector<std::string> CommandsIn(const std::string& dir) {
  auto store = LogStore::Open(dir);
  EXPECT_TRUE(store.ok()) << store.status();
  if (!store.ok()) return {};
  const LoadedLog log = (*store)->TakeLoaded();
  TestMachine machine;
  uint64_t applied = 0;
  if (log.snapshot) {
    auto state = LoadSnapshot(*log.snapshot, machine);
    EXPECT_TRUE(state.ok()) << state.status();
    if (!state.ok()) return {};
    applied = log.snapshot->metadata.last_index();
    machine.Restore(applied, 1, *state);
  }
  uint64_t index = log.first_index;
  for (const EntryPtr& entry : log.entries) {
    const uint64_t at = index++;
    if (at > applied && entry->type() == pb::ENTRY_TYPE_COMMAND)
      machine.Apply(at, 1, entry->data(), /*wanted=*/false);
  }
  return machine.commands();
}

TEST(CrashTest, NothingAcknowledgedIsLostWhenAProcessIsKilledAtAnyMoment) {
  const TestDir dir;
  std::mt19937 random(std::random_device{}());
  uint64_t acknowledged = 0;  // so many, from 0 on
  for (int round = 0; round < 25; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      Work(dir.path(), acknowledged, ends[1]);
    }
    close(ends[1]);
    // Some acknowledgements, then some moment.
    uint64_t last = 0;
    for (int i = 0; i < 4 && read(ends[0], &last, sizeof last) == sizeof last; ++i) {
      acknowledged = last + 1;
    }
    usleep(random() % 40'000);
    kill(child, SIGKILL);
    while (read(ends[0], &last, sizeof last) == sizeof last) acknowledged = last + 1;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "round " << round << ": it ended by itself";
    const std::vector<std::string> commands = CommandsIn(dir.path());
    ASSERT_GE(commands.size(), acknowledged) << "round " << round;
    for (uint64_t i = 0; i < commands.size(); ++i) {
      ASSERT_EQ(commands[i].substr(0, commands[i].find(' ')), std::to_string(i));
    }
    acknowledged = commands.size();  // what was not acknowledged may be there too
  }
  size_t snapshots = 0;
  for (const auto& file : std::filesystem::directory_iterator(dir.path() + "/snapshots")) {
    snapshots += file.path().extension() == ".snapshot";
  }
  EXPECT_EQ(snapshots, 1u) << "none is left behind";
}

}  // namespace
}  // namespace faultline::raft
