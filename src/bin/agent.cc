// faultline-agent: one per host; makes actual faults equal desired faults, and measures.
#include "agent/agent.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "agent/agent_http.h"
#include "agent/guardian.h"
#include "agent/host_lock.h"
#include "agent/local_service.h"
#include "agent/status_text.h"
#include "base/log.h"
#include "cli/flag_values.h"
#include "faults/driver.h"
#include "faults/registry.h"
#include "faults/undo.h"

namespace faultline::agent {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;   // the command failed
constexpr int kRefused = 2;  // it could not even begin: wrong use, not root, another agent, ...

int Complain(const Status& status, int code) {
  fmt::print(stderr, "faultline-agent: {}\n", ToString(status.message()));
  return code;
}

// Of a running agent that was asked.
int ComplainAsked(const Status& status) {
  return Complain(status, status.code() == StatusCode::kPermissionDenied ? kRefused : kFailed);
}

StatusOr<Config> LoadConfig(const std::string& path) {
  if (!path.empty()) return ReadConfig(path);
  if (std::filesystem::exists(kDefaultConfigPath)) return ReadConfig(kDefaultConfigPath);
  return ParseConfig("", kDefaultConfigPath);
}

// The kernel's programs compare leases and deadlines with its own clock: in a time namespace the
// agent's is another, and nothing would end in time.
Status CheckClock() {
  std::ifstream offsets("/proc/self/timens_offsets");
  std::string clock;
  int64_t seconds = 0, nanoseconds = 0;
  while (offsets >> clock >> seconds >> nanoseconds) {
    if (clock != "boottime" || (seconds == 0 && nanoseconds == 0)) continue;
    return MakeError(StatusCode::kFailedPrecondition,
                     "must not run in a time namespace (boottime offset {} s): faults would not "
                     "end in time",
                     seconds);
  }
  return absl::OkStatus();
}

Status CheckHost() {
  if (geteuid() != 0) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "must run as root: it loads kernel programs and enters network namespaces");
  }
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "this kernel has no BTF (/sys/kernel/btf/vmlinux): it must be built with "
                     "CONFIG_DEBUG_INFO_BTF");
  }
  return CheckClock();
}

FaultGroups Groups() {
  return {faults::MakeDrivers,
          [](const std::string& kind) { return std::string(faults::GroupOf(kind)); }, faults::Undo};
}

// Blocks the signals that end an agent, in this thread and all later ones.
sigset_t BlockEndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

// `log_flags`: how this process logs, for guardians that it starts later.
int Run(const Config& config, std::vector<std::string> log_flags) {
  if (const Status host = CheckHost(); !host.ok()) return Complain(host, kRefused);
  auto locks = LockHost(config.state_dir);
  if (!locks.ok()) return Complain(locks.status(), kRefused);
  if (const Status socket = CheckSocketIsFree(config.socket); !socket.ok()) {
    return Complain(socket, kRefused);
  }
  const std::string journal_path = config.state_dir + "/undo.journal";
  auto journal = UndoJournal::Open(journal_path);
  if (!journal.ok()) {
    // What failed has been logged.
    UndoJournal::UndoReadable(journal_path, faults::Undo).IgnoreError();
    return Complain(journal.status(), kRefused);
  }
  if ((*journal)->size() > 0) FL_LOG(info, "undoing what an earlier agent left behind");
  // What cannot be undone now stays in the journal, and has been logged.
  (*journal)->UndoAll(faults::Undo).IgnoreError();
  auto guardian =
      Guardian::Fork({journal_path, locks->journal.fd(), faults::Undo, std::move(log_flags)});
  if (!guardian.ok()) return Complain(guardian.status(), kFailed);
  const sigset_t signals = BlockEndSignals();
  auto agent = Agent::Start(config, Groups(), guardian->get(), journal->get());
  if (!agent.ok()) return Complain(agent.status(), kRefused);
  auto service = LocalService::Serve(config.socket, agent->get());
  if (!service.ok()) return Complain(service.status(), kRefused);
  auto http = StartHttp(config, agent->get());
  if (!http.ok()) return Complain(http.status(), kRefused);
  FL_LOG(info, "agent {} runs with {} targets", config.agent_id, config.targets.size());
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  FL_LOG(info, "ending on {}", strsignal(signal_number));
  http->reset();
  service->reset();
  agent->reset();
  return kDone;
}

int ShowStatus(const Config& config, bool json) {
  const auto status = AskStatus(config.socket);
  if (!status.ok()) return ComplainAsked(status.status());
  fmt::print("{}", json ? StatusJson(*status) : StatusText(*status));
  return kDone;
}

int Halt(const Config& config) {
  const auto halted = AskHalt(config.socket);
  if (!halted.ok()) return ComplainAsked(halted.status());
  fmt::print("halted: {} fault{} disarmed; nothing is armed until `faultline-agent resume`\n",
             halted->disarmed(), halted->disarmed() == 1 ? "" : "s");
  for (const std::string& failure : halted->failures()) fmt::print(stderr, "{}\n", failure);
  return halted->failures_size() == 0 ? kDone : kFailed;
}

int Resume(const Config& config) {
  if (const Status resumed = AskResume(config.socket); !resumed.ok()) return ComplainAsked(resumed);
  fmt::print("resumed: experiments that begin from now on are armed\n");
  return kDone;
}

// What the kernel can do: asked of the running agent, else found out here.
int Probe(const Config& config) {
  std::vector<chaos::v1::Capability> capabilities;
  if (const auto status = AskStatus(config.socket); status.ok()) {
    capabilities = {status->agent().capabilities().begin(), status->agent().capabilities().end()};
  } else {
    if (const Status host = CheckHost(); !host.ok()) return Complain(host, kRefused);
    auto drivers = faults::MakeDrivers({nullptr, [](int, faults::LeasePage*) {}, config.lane, {}});
    if (!drivers.ok()) return Complain(drivers.status(), kFailed);
    for (const auto& named : *drivers) {
      for (auto& capability : named.driver->Probe()) capabilities.push_back(std::move(capability));
    }
  }
  fmt::print("{}", CapabilitiesText(capabilities));
  return kDone;
}

// By hand it would undo what a living agent holds.
int LiveAsGuardian(const std::string& journal_path) {
  int type = 0, accepts = 0;
  socklen_t size = sizeof type;
  const bool is_end =
      getsockopt(kGuardianSocketFd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
      type == SOCK_SEQPACKET &&
      getsockopt(kGuardianSocketFd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 &&
      accepts == 0;
  if (!is_end) {
    return Complain(MakeError(StatusCode::kFailedPrecondition,
                              "guardian: only a running agent starts it, with the end of a socket; "
                              "`faultline-agent run` undoes what an earlier agent left"),
                    kRefused);
  }
  return Guardian::Live(kGuardianSocketFd, {journal_path, kGuardianLockFd, faults::Undo});
}

int Main(int argc, char** argv) {
  CLI::App app{"Faultline's agent: one per host, run as root."};
  app.set_version_flag("--version", FAULTLINE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // flags may follow the command
  std::string config_path, http_listen, lane, log_level = "info", log_format = "text", journal_path;
  bool json = false;
  app.add_option("--config,-c", config_path,
                 fmt::format("Configuration file [{} if it exists]", kDefaultConfigPath));
  app.add_option("--log-level", log_level, "trace, debug, info, warn, error or off")
      ->capture_default_str();
  app.add_option("--log-format", log_format, "text or json")->capture_default_str();
  app.add_option(
      "--http-listen", http_listen,
      fmt::format("Address for /metrics, /healthz and /readyz, or off [{}]", kDefaultHttp));
  app.add_option("--lane", lane, fmt::format("Where delayed packets wait: {} [auto]", kLaneRule));
  for (CLI::Option* option : app.get_options()) option->check(cli::NotEmpty());
  app.add_subcommand("run", "Run in the foreground until SIGTERM or SIGINT");
  auto* status = app.add_subcommand("status", "Show what the running agent does");
  status->add_flag("--json", json, "As JSON");
  app.add_subcommand("halt", "Disarm everything now, and refuse to arm until resume");
  app.add_subcommand("resume", "Let experiments that begin from now on be armed again");
  app.add_subcommand("probe", "Show what this host's kernel can do");
  auto* guardian = app.add_subcommand("guardian", "Started by a running agent")->group("");
  guardian->add_option("journal", journal_path)->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kRefused;
  }
  if (const Status log = InitLog("faultline-agent", log_level, log_format); !log.ok()) {
    return Complain(log, kRefused);
  }
  // As in the controller: gRPC's own lines are none of this log's.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  if (*guardian) return LiveAsGuardian(journal_path);
  auto config = LoadConfig(config_path);
  if (!config.ok()) return Complain(config.status(), kRefused);
  const std::string command = app.get_subcommands().front()->get_name();
  const bool runs = command == "run";
  if (!runs && (!http_listen.empty() || (!lane.empty() && command != "probe"))) {
    return Complain(
        MakeError(StatusCode::kInvalidArgument, "{} is for 'run', and not looked at by '{}'",
                  http_listen.empty() ? "--lane" : "--http-listen", command),
        kRefused);
  }
  if (!http_listen.empty()) config->http_listen = http_listen;
  if (!lane.empty()) config->lane = lane;
  if (!IsLane(config->lane)) {
    return Complain(MakeError(StatusCode::kInvalidArgument, "--lane {}: allowed are {}",
                              config->lane, kLaneRule),
                    kRefused);
  }
  if (runs) {
    return Run(*config, {"--log-level", log_level, "--log-format", log_format});
  }
  if (command == "status") return ShowStatus(*config, json);
  if (command == "halt") return Halt(*config);
  if (command == "resume") return Resume(*config);
  return Probe(*config);
}

}  // namespace
}  // namespace faultline::agent

int main(int argc, char** argv) { return faultline::agent::Main(argc, argv); }
