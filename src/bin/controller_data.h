// faultline-controller check|repair|export: what the program does with a data directory offline.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace faultline {

// Adds the subcommands. The one that the command line names sets `run`, which does it and returns
// the exit code: 0 fine, 1 damaged (or not to be repaired), 2 wrong use.
void AddDataCommands(CLI::App& app, std::function<int()>* run);

}  // namespace faultline
