// Shell completion, written from a description of the commands: pure text.
#pragma once

#include <string>
#include <vector>

namespace faultline::cli {

struct FlagModel {
  std::string name;  // "--target", "-q"
  std::string help;
  std::string value;                 // name of its value ("SELECTOR"); empty: takes none
  std::vector<std::string> choices;  // when the value is one of these
};

// What a command takes besides flags.
enum class Positional {
  kNone,
  kExperiments,
  kRunningExperiments,
  kKinds,
  kShells,
  kClusterCommands
};

struct CommandModel {
  std::string name, help;
  std::vector<FlagModel> flags;
  Positional positional = Positional::kNone;
};

struct KindModel {
  std::string name, help;
  std::vector<FlagModel> flags;
};

struct ProgramModel {
  std::vector<CommandModel> commands;
  std::vector<FlagModel> flags;  // of the program itself
  std::vector<KindModel> kinds;
};

// To be sourced by the shell. Experiments are completed by asking a controller for at most a
// second.
std::string BashCompletion(const ProgramModel& program);
std::string ZshCompletion(const ProgramModel& program);

}  // namespace faultline::cli
