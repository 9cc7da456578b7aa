#include "e2e/cli_support.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/ports/free_ports.h"

namespace faultline::e2e {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Nothing was done then.
bool Unreached(const CliResult& result) {
  return result.exit_code == 3 && result.err.find("no controller answers") != std::string::npos;
}

CliResult RunOnce(const std::string& addresses, const std::vector<std::string>& arguments) {
  const TempFolder folder;
  const std::string out = folder.path() + "/out", err = folder.path() + "/err";
  std::vector<std::string> line = {FAULTLINE_BIN_DIR "/faultline"};
  line.insert(line.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (auto& word : line) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    setenv("FAULTLINE_ADDRESS", addresses.c_str(), 1);
    const int out_fd = open(out.c_str(), O_WRONLY | O_CREAT, 0600);
    const int err_fd = open(err.c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(out_fd, STDOUT_FILENO);
    dup2(err_fd, STDERR_FILENO);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), ReadAll(out),
          ReadAll(err)};
}

}  // namespace

CliResult Faultline(const std::string& addresses, const std::vector<std::string>& arguments) {
  CliResult result = RunOnce(addresses, arguments);
  for (int more = 2; more > 0 && Unreached(result); --more) result = RunOnce(addresses, arguments);
  return result;
}

CliController::CliController() : address_(fmt::format("127.0.0.1:{}", FreePort())) {
  process_ = std::make_unique<Process>(
      std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-controller", "--data-dir",
                               folder_.path() + "/data", "--api-listen", address_, "--peer-listen",
                               fmt::format("127.0.0.1:{}", FreePort())},
      folder_.path() + "/controller.log");
  for (int attempt = 0; attempt < 20; ++attempt) {
    if (Faultline(address_, {"list"}).exit_code == 0) return;
  }
}

}  // namespace faultline::e2e
