// faultline: the command line for people and scripts.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "cli/app.h"

namespace {

constexpr std::chrono::milliseconds kSameSignal{300};

// Ctrl-C and SIGTERM end calls and streams in order; a second one ends the process.
void CancelOnSignal(std::shared_ptr<faultline::client::Cancellation> interrupt) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // in all threads to come
  std::thread([signals, interrupt = std::move(interrupt)] {
    int signal = 0;
    sigwait(&signals, &signal);
    interrupt->Cancel();
    // Whoever started this may pass on the same Ctrl-C that the terminal sends: that is still one.
    std::this_thread::sleep_for(kSameSignal);
    constexpr timespec kAtOnce{0, 0};
    while (sigtimedwait(&signals, nullptr, &kAtOnce) > 0) {
    }
    sigwait(&signals, &signal);
    _exit(static_cast<int>(faultline::cli::ExitCode::kInterrupted));
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  const auto interrupt = std::make_shared<faultline::client::Cancellation>();
  CancelOnSignal(interrupt);
  // gRPC's own log would stand between the answers; the variable brings it back.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  faultline::cli::Output output(std::cout, std::cerr, faultline::cli::DetectTerminal());
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return static_cast<int>(faultline::cli::Run(arguments, output, interrupt));
}
