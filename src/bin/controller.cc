// faultline-controller: one node of the control plane.
#include "server/controller.h"

#include <absl/synchronization/mutex.h>
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>

#include "base/log.h"
#include "cli/flag_values.h"
#include "controller_data.h"

namespace {

using faultline::Status;
using faultline::cli::AddTime;
using faultline::cli::WholeNumberIn;
using faultline::server::Config;
using faultline::server::kBaselineRange;
using faultline::server::kLeaseRange;

constexpr int kExitUsage = 2;

struct Flags {
  std::string config, data_dir, api_listen, peer_listen, http_listen, members, join, log_level,
      log_format;
  std::string tls_ca, tls_cert, tls_key, peer_name;
  std::optional<std::chrono::milliseconds> lease, baseline;
  uint64_t id = 0;
  uint32_t max_version = 0;
};

void AddFlags(CLI::App& app, Flags* flags) {
  app.add_option("--config", flags->config, "YAML file; flags given beside it win");
  app.add_option("--id", flags->id, "this node's number among the members (default 1)")
      ->transform(WholeNumberIn(1, INT64_MAX));
  app.add_option("--data-dir", flags->data_dir,
                 "where the log is kept (default /var/lib/faultline/controller)");
  app.add_option("--api-listen", flags->api_listen,
                 "address for clients and agents (default 127.0.0.1:7400)");
  app.add_option("--peer-listen", flags->peer_listen,
                 "address for other controllers (default 127.0.0.1:7401)");
  app.add_option("--http-listen", flags->http_listen,
                 "address for /metrics, /healthz and /readyz, or off (default 127.0.0.1:7402)");
  app.add_option("--members", flags->members,
                 "1=host:port,2=host:port,...: every member's peer address (default: this node)");
  app.add_option("--join", flags->join,
                 "host:port,...: peer addresses of a cluster that this node is to belong to; its "
                 "data directory is empty (see 'faultline cluster add')");
  app.add_option("--tls-ca", flags->tls_ca, "PEM file of the CA that both sides must be signed by");
  app.add_option("--tls-cert", flags->tls_cert, "PEM file of this node's certificate");
  app.add_option("--tls-key", flags->tls_key, "PEM file of this node's key");
  app.add_option(
      "--peer-name", flags->peer_name,
      "name that all controllers' certificates carry, and no others (default: each one's "
      "carries its own host)");
  AddTime(&app, "--lease", &flags->lease, kLeaseRange,
          "control-plane lease of faults (default 10s)");
  AddTime(
      &app, "--baseline", &flags->baseline, kBaselineRange,
      "how much of the time before a fault is in its report (default 10s): targets are measured "
      "all the time, so no start waits for it");
  app.add_option("--max-version", flags->max_version,
                 "hold the cluster at this version of commands during an upgrade (default: newest)")
      ->transform(
          WholeNumberIn(faultline::control::kFirstVersion, faultline::control::kNewestVersion));
  app.add_option("--log-level", flags->log_level,
                 "trace, debug, info, warn, error or off (default info)");
  app.add_option("--log-format", flags->log_format, "text or json (default text)");
  for (CLI::Option* option : app.get_options()) option->check(faultline::cli::NotEmpty());
}

faultline::StatusOr<Config> ToConfig(const Flags& flags) {
  Config config;
  if (!flags.config.empty()) {
    FL_ASSIGN_OR_RETURN(config, faultline::server::ReadConfig(flags.config));
  }
  const auto set = [](const std::string& flag, std::string* field) {
    if (!flag.empty()) *field = flag;
  };
  if (flags.id != 0) config.node_id = flags.id;
  if (flags.max_version != 0) config.max_version = flags.max_version;
  set(flags.data_dir, &config.data_dir);
  set(flags.api_listen, &config.api_listen);
  set(flags.peer_listen, &config.peer_listen);
  set(flags.tls_ca, &config.tls.ca_file);
  set(flags.tls_cert, &config.tls.cert_file);
  set(flags.tls_key, &config.tls.key_file);
  set(flags.peer_name, &config.peer_name);
  set(flags.log_level, &config.log_level);
  set(flags.log_format, &config.log_format);
  if (!flags.http_listen.empty()) config.http_listen = flags.http_listen;
  if (!flags.members.empty()) {
    FL_ASSIGN_OR_RETURN(config.members, faultline::server::ParseMembers(flags.members));
  }
  if (!flags.join.empty()) {
    FL_ASSIGN_OR_RETURN(config.join, faultline::server::ParseJoin(flags.join));
  }
  if (flags.lease) config.lease = *flags.lease;
  if (flags.baseline) config.baseline = *flags.baseline;
  return config;
}

int Fail(const Status& status) {
  std::fprintf(stderr, "faultline-controller: %s\n", faultline::ToString(status.message()).c_str());
  return kExitUsage;
}

// What is said of a directory that is damaged, with what to do.
Status WithAdvice(const Status& status, const std::string& data_dir) {
  if (status.code() != faultline::StatusCode::kDataLoss) return status;
  return faultline::MakeError(status.code(),
                              "{}; 'faultline-controller check {}' tells more, and what to do",
                              faultline::ToString(status.message()), data_dir);
}

int Run(const Flags& flags) {
  // Before any thread: all of them leave these signals to sigwait below.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  auto config = ToConfig(flags);
  if (!config.ok()) return Fail(config.status());
  if (const Status status = faultline::InitLog("controller", config->log_level, config->log_format);
      !status.ok()) {
    return Fail(status);
  }
  // gRPC's own log says in ten lines what the errors here say in one; the variable brings it back.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const std::string data_dir = config->data_dir;
  const auto controller = faultline::server::Controller::Start(*std::move(config));
  if (!controller.ok()) return Fail(WithAdvice(controller.status(), data_dir));
  int signal = 0;
  sigwait(&signals, &signal);
  FL_LOG(info, "ending: {}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  return 0;
}

// check, repair and export would pass over what is said to a node, --data-dir too.
Status CheckNoFlags(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0) continue;
    return faultline::MakeError(faultline::StatusCode::kInvalidArgument,
                                "{} is for a node that runs: '{}' takes DIR, the data directory",
                                option->get_name(), app.get_subcommands().front()->get_name());
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "One node of Faultline's control plane. Without any flag: a single node on loopback.",
      "faultline-controller");
  Flags flags;
  AddFlags(app, &flags);
  app.set_version_flag("--version", FAULTLINE_VERSION);
  std::function<int()> data_command;
  faultline::AddDataCommands(app, &data_command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (data_command) {
    const Status alone = CheckNoFlags(app);
    return alone.ok() ? data_command() : Fail(alone);
  }
  // gRPC's locks: watching for a deadlock among them costs each call.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return Run(flags);
}
