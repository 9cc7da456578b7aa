#include "tests/cluster/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace faultline::cluster {

TempDir::TempDir() {
  char name[] = "/tmp/faultline-cluster-XXXXXX";
  path_ = mkdtemp(name);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Process::Process(const std::vector<std::string>& command, std::string log_path)
    : log_path_(std::move(log_path)), log_begins_(log().size()) {
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const int log = open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(log);
}

Process::~Process() { Kill(); }

void Process::Signal(int signal) const { kill(pid_, signal); }

int Process::Wait() {
  if (ended_) return result_;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  ended_ = true;
  result_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result_;
}

void Process::Kill() {
  if (ended_) return;
  Signal(SIGKILL);
  Wait();
}

bool Process::running() {
  if (ended_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == 0) return true;
  ended_ = true;
  result_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return false;
}

std::string Process::log() const {
  std::ifstream file(log_path_);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Ended RunToEnd(const std::string& program, const std::vector<std::string>& arguments) {
  const TempDir directory;
  std::vector<std::string> command = {std::string(FAULTLINE_BIN_DIR) + "/" + program};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Process process(command, directory.path() + "/log");
  const int code = process.Wait();
  return {code, process.log()};
}

}  // namespace faultline::cluster
