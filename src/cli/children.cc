#include "cli/children.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace faultline::cli {
namespace {

constexpr std::chrono::milliseconds kPollInterval{10};

// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void Become(char* const* arguments, int log_fd, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null_fd = open("/dev/null", O_RDONLY);
  if (null_fd >= 0) dup2(null_fd, STDIN_FILENO);
  if (log_fd >= 0) {
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
  }
  execv(arguments[0], arguments);
  _exit(127);
}

bool IsProgram(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::string Ended::Text() const {
  if (signal != 0) return fmt::format("by signal {} ({})", signal, strsignal(signal));
  return fmt::format("with exit code {}", exit_code);
}

StatusOr<Child> Child::Start(const std::vector<std::string>& arguments,
                             const std::string& log_path) {
  int log_fd = -1;
  if (!log_path.empty()) {
    log_fd = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) {
      return MakeError(StatusCode::kFailedPrecondition, "cannot write {}: {}", log_path,
                       ErrnoText(errno));
    }
  }
  std::vector<char*> pointers;
  for (const auto& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(pointers.data(), log_fd, parent);
  const int error = errno;
  if (log_fd >= 0) close(log_fd);
  if (pid < 0) {
    return MakeError(StatusCode::kInternal, "cannot start {}: {}", arguments[0], ErrnoText(error));
  }
  return Child(pid);
}

Child::Child(Child&& other) noexcept : pid_(other.pid_), ended_(other.ended_) { other.pid_ = -1; }

Child::~Child() {
  if (pid_ > 0) Terminate(std::chrono::milliseconds(0));
}

std::optional<Ended> Child::Poll() {
  if (ended_) return ended_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    ended_ = WIFSIGNALED(status) ? Ended{0, WTERMSIG(status)} : Ended{WEXITSTATUS(status), 0};
  }
  return ended_;
}

Ended Child::Terminate(std::chrono::milliseconds grace) {
  if (Poll()) return *ended_;
  kill(pid_, SIGTERM);
  const auto end = std::chrono::steady_clock::now() + grace;
  while (!Poll() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kPollInterval);
  }
  if (!ended_) kill(pid_, SIGKILL);
  while (!Poll()) std::this_thread::sleep_for(kPollInterval);
  return *ended_;
}

StatusOr<std::string> FindProgram(const std::string& name, const std::string& self_directory) {
  std::vector<std::filesystem::path> directories = {self_directory, self_directory + "/../sbin",
                                                    self_directory + "/../bin"};
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  rest += ":/usr/local/sbin:/usr/sbin";
  for (size_t begin = 0; begin < rest.size();) {
    const size_t colon = std::min(rest.find(':', begin), rest.size());
    if (colon > begin) directories.emplace_back(rest.substr(begin, colon - begin));
    begin = colon + 1;
  }
  for (const auto& directory : directories) {
    const auto candidate = directory / name;
    if (IsProgram(candidate)) return candidate.lexically_normal().string();
  }
  return MakeError(StatusCode::kInvalidArgument,
                   "cannot find {}: it is neither beside this program ({}) nor in PATH", name,
                   self_directory);
}

std::string SelfDirectory() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

}  // namespace faultline::cli
