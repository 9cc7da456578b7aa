// The program `faultline` as its users run it: its exit code, and what it prints.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "e2e/agent_support.h"

namespace faultline::e2e {

struct CliResult {
  int exit_code = -1;
  std::string out, err;
};

// Runs it to its end, with those addresses in FAULTLINE_ADDRESS. Again, a few times, when it has
// reached no controller: it gives those a second or two, and a starved one may need longer.
CliResult Faultline(const std::string& addresses, const std::vector<std::string>& arguments);

// A real one-node controller on loopback, without an agent.
class CliController {
 public:
  // Starts it and waits until it answers.
  CliController();
  const std::string& address() const { return address_; }

 private:
  const TempFolder folder_;
  std::string address_;
  std::unique_ptr<Process> process_;
};

}  // namespace faultline::e2e
