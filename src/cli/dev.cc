// faultline dev: a control plane of one node and an agent, in the foreground.
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/children.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/dev_host.h"
#include "cli/dev_setup.h"
#include "cli/flag_values.h"
#include "cli/kind_flags.h"
#include "faults/registry.h"

namespace faultline::cli {
namespace {

using std::chrono::milliseconds;

// Reverting and leaving cleanly take the agent and the controller far less.
constexpr milliseconds kGrace{10'000};
constexpr milliseconds kReadyTimeout{20'000};

// The last line that a child wrote: mostly why it ended.
std::string LastLine(const std::string& log_path) {
  std::ifstream file(log_path);
  std::string line, last;
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

struct Running {
  std::string name;
  Child child;
  std::string log_path;
};

// The error of a child that ended by itself: 2 when it could not be set up, else 1.
Status EndedByItself(const Running& running, const Ended& ended) {
  const std::string last = running.log_path.empty() ? "" : LastLine(running.log_path);
  const bool refused = ended.signal == 0 && ended.exit_code == static_cast<int>(ExitCode::kUsage);
  return MakeError(refused ? StatusCode::kInvalidArgument : StatusCode::kAborted,
                   "the {} ended {}{}{}", running.name, ended.Text(), last.empty() ? "" : ": ",
                   last);
}

Status CheckAlive(std::vector<Running>& all) {
  for (auto& running : all) {
    if (const auto ended = running.child.Poll()) return EndedByItself(running, *ended);
  }
  return absl::OkStatus();
}

// Waits until the controller answers and, when asked for, an agent is connected to it.
Status WaitUntilReady(Session& session, std::vector<Running>& all, bool with_agent) {
  const auto end = std::chrono::steady_clock::now() + kReadyTimeout;
  Status last;
  while (std::chrono::steady_clock::now() < end) {
    FL_RETURN_IF_ERROR(CheckAlive(all));
    FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
    const auto agents = client->ListAgents({}, session.call());
    last = agents.status();
    if (last.code() == StatusCode::kCancelled) return last;
    if (agents.ok()) {
      if (!with_agent) return CheckAlive(all);
      for (const auto& agent : agents->agents()) {
        if (agent.connected()) return absl::OkStatus();
      }
    }
    session.interrupt->WaitFor(milliseconds(50));
  }
  FL_RETURN_IF_ERROR(last);
  return MakeError(StatusCode::kAborted,
                   "the agent has not connected to the controller within {} s",
                   kReadyTimeout.count() / 1000);
}

void PrintReady(Session& session, const DevFlags& flags, const std::string& directory) {
  Output& out = session.out;
  if (out.json()) {
    const nlohmann::ordered_json ready = {{"address", flags.listen}, {"directory", directory}};
    return out.JsonText(ready.dump());
  }
  const bool standard = flags.listen == DevFlags().listen;
  out.Line(fmt::format("{} at {} with an agent for this host (data and logs: {})",
                       out.Styled("A controller answers", Style::kGood), flags.listen, directory));
  const bool own_targets = !flags.config_path.empty();
  out.Line(own_targets ? fmt::format("Targets are those of {}.", flags.config_path)
                       : fmt::format("Target: {} ({}).", flags.name, TargetText(flags)));
  if (!own_targets && flags.ports.empty() && flags.interface.empty()) {
    out.Line("Faults on it touch everything on loopback; --port 8080 narrows it to a service.");
  }
  out.Line("\nIn another terminal:");
  if (!standard) out.Line(fmt::format("  export FAULTLINE_ADDRESS={}", flags.listen));
  const auto kind = faults::DescribeAll().front();
  out.Line(fmt::format(
      "  faultline targets\n  faultline start {} --target {} {} --duration 1m\n"
      "  faultline metrics\n\nCtrl-C ends both and reverts every fault.",
      kind.name(), own_targets ? "KEY:VALUE" : SelectorText(flags), ExampleFlags(kind)));
}

// Until Ctrl-C (OK) or the end of a child (its error).
Status Watch(Session& session, std::vector<Running>& all) {
  while (!session.interrupt->WaitFor(milliseconds(100))) FL_RETURN_IF_ERROR(CheckAlive(all));
  return absl::OkStatus();
}

// Agent first, so that its reverts are still reported.
Status EndAll(std::vector<Running>& all) {
  Status first;
  for (auto running = all.rbegin(); running != all.rend(); ++running) {
    const bool by_itself = running->child.Poll().has_value();
    const Ended ended = running->child.Terminate(kGrace);
    const bool clean = ended.signal == 0 && ended.exit_code == 0;
    if (!clean && !by_itself && first.ok()) {
      first = MakeError(StatusCode::kAborted, "the {} did not end cleanly, but {}", running->name,
                        ended.Text());
    }
  }
  return first;
}

struct Programs {
  std::string controller, agent;
};

StatusOr<Programs> FindPrograms() {
  const std::string self = SelfDirectory();
  Programs programs;
  FL_ASSIGN_OR_RETURN(programs.controller, FindProgram("faultline-controller", self));
  FL_ASSIGN_OR_RETURN(programs.agent, FindProgram("faultline-agent", self));
  return programs;
}

Status StartOne(const std::string& name, const std::vector<std::string>& arguments,
                const DevFlags& flags, const std::string& directory, std::vector<Running>* all) {
  const std::string log = flags.verbose ? "" : directory + "/" + name + ".log";
  FL_ASSIGN_OR_RETURN(auto child, Child::Start(arguments, log));
  all->push_back({name, std::move(child), log});
  return absl::OkStatus();
}

// The agent once the controller answers: it would wait a while before it tries again.
Status StartAll(Session& session, const Programs& programs, const DevFlags& flags,
                const std::string& directory, std::vector<Running>* all) {
  FL_RETURN_IF_ERROR(StartOne("controller",
                              ControllerArguments(programs.controller, flags, directory), flags,
                              directory, all));
  FL_RETURN_IF_ERROR(WaitUntilReady(session, *all, false));
  FL_RETURN_IF_ERROR(
      StartOne("agent", AgentArguments(programs.agent, directory), flags, directory, all));
  return WaitUntilReady(session, *all, true);
}

// Its controller is its own, on loopback.
Status CheckConnectionFlags(const GlobalFlags& flags) {
  if (!flags.address.empty()) {
    return FieldError("--address", flags.address, "none with dev: --listen gives its address");
  }
  for (const auto& [flag, file] :
       {std::pair("--ca-file", &flags.ca_file), std::pair("--cert-file", &flags.cert_file),
        std::pair("--key-file", &flags.key_file)}) {
    if (!file->empty()) return FieldError(flag, *file, "none with dev: it has no TLS");
  }
  return absl::OkStatus();
}

Status RunDev(Session& session, const DevFlags& flags) {
  FL_RETURN_IF_ERROR(CheckDevFlags(flags));
  FL_RETURN_IF_ERROR(CheckConnectionFlags(session.flags));
  if (geteuid() != 0) {
    return MakeError(StatusCode::kInvalidArgument,
                     "dev must run as root: its agent loads kernel programs");
  }
  FL_ASSIGN_OR_RETURN(const auto programs, FindPrograms());
  // Else the agent would go to whoever answers there.
  FL_RETURN_IF_ERROR(CheckAddressIsFree(flags.listen));
  FL_ASSIGN_OR_RETURN(const auto targets, ReadTargets(flags.config_path));
  FL_ASSIGN_OR_RETURN(const auto directory, WorkDirectory::Make(flags.data_dir));
  std::ofstream(directory.path() + "/agent.yaml") << AgentConfig(flags, directory.path(), targets);
  session.flags.address = flags.listen;
  std::vector<Running> all;
  Status status = StartAll(session, programs, flags, directory.path(), &all);
  if (status.ok()) {
    PrintReady(session, flags, directory.path());
    status = Watch(session, all);
  }
  // An ended child says more than the call that failed because of it.
  if (const Status dead = CheckAlive(all); !dead.ok()) status = dead;
  const Status end = EndAll(all);
  if (status.ok()) status = end;
  directory.RemoveIfTemporary();
  return status;
}

void AddTargetFlags(CLI::App* command, const std::shared_ptr<DevFlags>& flags) {
  const std::string group = "Target";
  command->add_option("--config", flags->config_path, "A YAML file with 'targets:' as of an agent")
      ->type_name("FILE")
      ->group(group);
  command->add_option("--port", flags->ports, "Port that the service listens on; may be repeated")
      ->transform(WholeNumberIn(1, 65'535))
      ->type_name("PORT")
      ->allow_extra_args(false)
      ->group(group);
  command->add_option("--interface", flags->interface, "Its network interface (lo)")
      ->type_name("NAME")
      ->group(group);
  command->add_option("--netns", flags->netns, "Network namespace of the interface (this one)")
      ->type_name("NAME")
      ->group(group);
  command
      ->add_option("--label", flags->labels, "Label to select it by (name:local); may be repeated")
      ->type_name("KEY:VALUE")
      ->allow_extra_args(false)
      ->group(group);
}

}  // namespace

void AddDev(CLI::App& app, Session& session) {
  auto flags = std::make_shared<DevFlags>();
  CLI::App* command = AddCommand(
      app, session,
      {"dev",
       "Run a control plane of one node and an agent for this host, until Ctrl-C",
       {"faultline dev --port 8080 --label service:checkout",
        "faultline dev --interface eth0 --netns blue", "faultline dev --config targets.yaml"}},
      [flags](Session& s) { return RunDev(s, *flags); });
  AddTargetFlags(command, flags);
  command->add_option("--listen", flags->listen, "Address of the API (127.0.0.1:7400)")
      ->type_name("ADDRESS");
  command->add_option("--peer-listen", flags->peer_listen, "Peers' address (127.0.0.1:7401)")
      ->type_name("ADDRESS");
  command
      ->add_option("--data-dir", flags->data_dir,
                   "Where the data stay (a temporary directory, removed at the end)")
      ->type_name("DIRECTORY");
  command->add_flag("--verbose", flags->verbose, "Show both programs' logs here");
}

}  // namespace faultline::cli
