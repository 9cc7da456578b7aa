// The program `faultline` as a function.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/output.h"
#include "client/cancellation.h"

namespace faultline::cli {

// Runs one command line (without the program's name). `interrupt` is cancelled by Ctrl-C.
// Everything goes through `output`, errors and help included.
ExitCode Run(const std::vector<std::string>& arguments, Output& output,
             std::shared_ptr<client::Cancellation> interrupt);

}  // namespace faultline::cli
