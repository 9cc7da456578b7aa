// How a command joins the program. One file per command; each has one Add function, listed in
// app.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "cli/session.h"

namespace faultline::cli {

struct CommandText {
  std::string name;
  std::string summary;                // one line, for the list of commands
  std::vector<std::string> examples;  // "faultline stop --all"
  std::string details = "";           // the rest of the command's own help
};

// Adds a subcommand with the global flags; `run` is called after the whole line was parsed.
CLI::App* AddCommand(CLI::App& app, Session& session, const CommandText& text,
                     std::function<Status(Session&)> run);

// INVALID_ARGUMENT about the words of the line that nothing takes: `extras`, of the command that is
// called `command` ("faultline start").
Status UnknownArgument(const std::vector<std::string>& extras, const std::string& command);

// INVALID_ARGUMENT about two flags of which one would be passed over.
Status NotTogether(std::string_view flag, std::string_view other);

// "\nExamples:\n  ..." for a help's end.
std::string ExamplesText(const std::vector<std::string>& examples);

void AddStart(CLI::App& app, Session& session, const std::vector<std::string>& line);
void AddStop(CLI::App& app, Session& session);
void AddGet(CLI::App& app, Session& session);
void AddList(CLI::App& app, Session& session);
void AddWatch(CLI::App& app, Session& session);
void AddMetrics(CLI::App& app, Session& session);
void AddReport(CLI::App& app, Session& session);
void AddAgents(CLI::App& app, Session& session);
void AddTargets(CLI::App& app, Session& session);
void AddFaults(CLI::App& app, Session& session);
void AddDev(CLI::App& app, Session& session);
void AddCluster(CLI::App& app, Session& session);
// Subcommands of `cluster`.
void AddMemberChanges(CLI::App& cluster, Session& session);
void AddSnapshot(CLI::App& cluster, Session& session);
void AddCompletion(CLI::App& app, Session& session);
void AddVersion(CLI::App& app, Session& session);

}  // namespace faultline::cli
