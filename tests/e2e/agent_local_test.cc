// What root on the host can ask and do without any controller, and how an agent refuses to begin.
#include <gmock/gmock.h>

#include <fstream>

#include "agent/status_text.h"
#include "agent/undo_journal.h"
#include "bpf/attach.h"
#include "bpf/probe.h"
#include "bpf/tc_filter.h"
#include "e2e/agent_fixture.h"

namespace faultline::e2e {
namespace {

using testing::HasSubstr;

class AgentLocal : public AgentFixture {
 protected:
  std::string Command(const std::string& command) {
    return Shell(program() + " --config " + config_ + " " + command);
  }
};

TEST_F(AgentLocal, StatusShowsWhatIsArmed) {
  StartSlowed();
  std::string text;
  EXPECT_TRUE(Eventually(
      [&] {
        text = Command("status");
        return text.find(node_->address() + " (connected)") != std::string::npos;
      },
      std::chrono::minutes(1)))
      << text;
  EXPECT_THAT(text, HasSubstr("agent       e2e"));
  EXPECT_THAT(text, HasSubstr("ACTIVE     NETWORK_LATENCY on e2e/checkout, experiment e1"));
  EXPECT_THAT(Command("status --json"), HasSubstr("\"experiment_id\":\"e1\""));
}

TEST_F(AgentLocal, HaltHealsWithoutAControllerAndHoldsUntilResume) {
  StartSlowed();
  EXPECT_THAT(Command("halt"), HasSubstr("1 fault disarmed"));
  EXPECT_TRUE(stream_->AwaitFast(20));
  EXPECT_EQ(AwaitPhase("e1", chaos::v1::TARGET_PHASE_REVERTED), "halted locally");
  Desire(3, {"e1", "e2"});
  EXPECT_EQ(AwaitPhase("e2", chaos::v1::TARGET_PHASE_REFUSED), "halted locally");
  EXPECT_THAT(Command("resume"), HasSubstr("resumed"));
  Desire(4, {"e3"});
  AwaitPhase("e3", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_TRUE(stream_->AwaitSlow(kDelayMs - 10));
}

TEST_F(AgentLocal, ASecondAgentIsRefusedWithOneSentence) {
  StartAgent();
  const std::string log = folder_.path() + "/second.log";
  Process second({program(), "--config", config_, "run"}, log);
  EXPECT_EQ(second.Wait(), 2);
  EXPECT_THAT(Shell("cat " + log), HasSubstr("another faultline-agent runs on this host"));
  EXPECT_TRUE(agent_->Running());
}

TEST_F(AgentLocal, AGuardianIsNotStartedByHand) {
  StartSlowed();
  const std::string log = folder_.path() + "/guardian.log";
  const std::string command =
      "exec " + program() + " guardian " + folder_.path() + "/state/undo.journal 3<&-";
  Process guardian({"/bin/sh", "-c", command}, log);
  EXPECT_EQ(guardian.Wait(), 2);
  EXPECT_THAT(Shell("cat " + log), HasSubstr("guardian: only a running agent starts it"));
  EXPECT_TRUE(stream_->AwaitSlow(kDelayMs - 10));
}

TEST_F(AgentLocal, WhoIsNotRootIsToldSoInOneSentence) {
  StartAgent();
  // For all to reach, as the build's own folder may not be.
  const std::string copy = folder_.path() + "/faultline-agent";
  std::filesystem::copy_file(program(), copy);
  Shell("chmod 755 " + folder_.path());
  const std::string nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups " + copy;
  const std::string ending = " 2>&1; echo $?";
  for (const char* command : {"run", "probe"}) {
    EXPECT_EQ(Shell(nobody + " " + command + ending),
              "faultline-agent: must run as root: it loads kernel programs and enters network "
              "namespaces\n2");
  }
  const std::string configured = nobody + " --config " + config_;
  for (const char* command : {" status", " halt", " resume"}) {
    EXPECT_THAT(
        Shell(configured + command + ending),
        testing::MatchesRegex("faultline-agent: only root may ask the agent \\(at [^\n]*\\)\n2"));
  }
}

TEST_F(AgentLocal, AKernelWithoutBtfIsToldInOneSentence) {
  const std::string without = "unshare --mount sh -c 'mount -t tmpfs none /sys/kernel/btf && " +
                              program() + " run' 2>&1; echo $?";
  EXPECT_EQ(Shell(without),
            "faultline-agent: this kernel has no BTF (/sys/kernel/btf/vmlinux): it must be built "
            "with CONFIG_DEBUG_INFO_BTF\n2");
}

TEST_F(AgentLocal, AClockThatIsNotTheKernelsIsToldInOneSentence) {
  for (const char* command : {"run", "probe"}) {
    EXPECT_EQ(Shell("unshare --time --boottime 86400 --fork " + program() + " " + command +
                    " 2>&1; echo $?"),
              "faultline-agent: must not run in a time namespace (boottime offset 86400 s): faults "
              "would not end in time\n2");
  }
}

TEST_F(AgentLocal, AWrongConfigurationIsRefusedWithItsLine) {
  const std::string wrong = folder_.path() + "/wrong.yaml";
  const int line = std::stoi(Shell("wc -l < " + config_)) + 1;
  for (const char* value : {"0", "51", "-1", "fast"}) {
    std::filesystem::copy_file(config_, wrong, std::filesystem::copy_options::overwrite_existing);
    std::ofstream(wrong, std::ios::app) << "metrics_rate_hz: " << value << "\n";
    EXPECT_EQ(Shell(program() + " --config " + wrong + " run 2>&1; echo $?"),
              fmt::format("faultline-agent: {}:{}: metrics_rate_hz: '{}' is not allowed: a whole "
                          "number from 1 to 50\n2",
                          wrong, line, value));
  }
}

TEST_F(AgentLocal, ADamagedJournalIsRefusedWithFileAndOffset) {
  std::filesystem::create_directories(folder_.path() + "/state");
  const std::string path = folder_.path() + "/state/undo.journal";
  {
    auto journal = *agent::UndoJournal::Open(path);
    ASSERT_TRUE(journal->Record("a", {}).ok());
    ASSERT_TRUE(journal->Record("b", {}).ok());
  }
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(22).put('\xff');
  const std::string log = folder_.path() + "/damaged.log";
  Process refused({program(), "--config", config_, "run"}, log);
  EXPECT_EQ(refused.Wait(), 2);
  EXPECT_THAT(Shell("cat " + log), HasSubstr(path + ": damaged at offset 8"));
}

// With a qdisc that an earlier agent has left at the service, as its journal says.
class AgentLeftovers : public AgentLocal {
 protected:
  void SetUp() override {
    AgentLocal::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    Shell(service() + "tc qdisc add dev svc0 clsact");
    ASSERT_TRUE(IsLeft());
    std::filesystem::create_directories(folder_.path() + "/state");
  }
  std::string service() const { return "ip netns exec " + net_->service() + " "; }
  bool IsLeft() const {
    return Shell(service() + "tc qdisc show dev svc0").find("clsact") != std::string::npos;
  }
  void RecordQdisc(agent::UndoJournal& journal) const {
    bpf::ClsactPlace place;
    place.netns = net_->service();
    place.netns_id = *bpf::IdOf(*bpf::OpenNetns(place.netns));
    place.interface = "svc0";
    place.ifindex = std::stoi(Shell(service() + "cat /sys/class/net/svc0/ifindex"));
    ASSERT_TRUE(journal.Record(bpf::kUndoClsact, place.ToArguments()).ok());
  }
  std::string journal_path() const { return folder_.path() + "/state/undo.journal"; }
};

TEST_F(AgentLeftovers, AreUndoneAtTheStart) {
  RecordQdisc(**agent::UndoJournal::Open(journal_path()));
  StartAgent();
  EXPECT_FALSE(IsLeft());
  agent_->Signal(SIGTERM);
  agent_->Wait();
  EXPECT_EQ((*agent::UndoJournal::Open(journal_path()))->size(), 0u);
}

TEST_F(AgentLeftovers, AreUndoneAsFarAsADamagedJournalTells) {
  {
    auto journal = *agent::UndoJournal::Open(journal_path());
    ASSERT_TRUE(journal->Record("a", {}).ok());
    RecordQdisc(*journal);
  }
  std::fstream(journal_path(), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(22)
      .put('\xff');
  EXPECT_THAT(Shell(program() + " --config " + config_ + " run 2>&1; echo $?"),
              HasSubstr(journal_path() + ": damaged at offset 8"));
  EXPECT_FALSE(IsLeft());
}

TEST_F(AgentLocal, ProbeTellsWhatTheKernelCanDo) {
  std::vector<chaos::v1::Capability> expected;
  for (const bpf::Feature& feature : bpf::KernelFeatures()) {
    auto& capability = expected.emplace_back();
    capability.set_name(feature.name);
    capability.set_available(feature.available);
    capability.set_reason(feature.reason);
  }
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(Command("probe") + "\n", agent::CapabilitiesText(expected));
}

}  // namespace
}  // namespace faultline::e2e
