#include "agent/guardian.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/log.h"
#include "faults/driver.h"

namespace faultline::agent {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr rlim_t kHighestFd = 16'383;  // 128 KiB of descriptor table

Status Failed(const char* what) {
  return MakeError(StatusCode::kInternal, "guardian: {}: {}", what, ErrnoText(errno));
}

Status SendFd(int socket, int fd) {
  char byte = 'p';
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1) return Failed("cannot be given the page");
  return absl::OkStatus();
}

// Waits for the next message. Result: a descriptor, or -1 when the other end has closed.
int ReceiveFd(int socket) {
  while (true) {
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
  }
}

// Nothing of the agent's but the two descriptors and standard error may be held open.
void KeepOnly(std::vector<int> fds) {
  std::sort(fds.begin(), fds.end());
  unsigned from = 0;
  for (const int fd : fds) {
    if (fd < 0) continue;
    if (static_cast<unsigned>(fd) > from) close_range(from, static_cast<unsigned>(fd) - 1, 0);
    from = static_cast<unsigned>(fd) + 1;
  }
  close_range(from, ~0u, 0);
}

void BecomeGuardian() {
  prctl(PR_SET_NAME, "fl-guardian");
  for (const int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) {
    signal(signal_number, SIG_IGN);
  }
  if (chdir("/") != 0) FL_LOG(warn, "guardian: cannot leave its folder: {}", ErrnoText(errno));
  setsid();
}

}  // namespace

int Guardian::Live(int fd, const Options& options) {
  KeepOnly({STDERR_FILENO, fd, options.journal_lock_fd});
  BecomeGuardian();
  faults::LeasePage* page = nullptr;
  for (int map_fd = ReceiveFd(fd); map_fd >= 0; map_fd = ReceiveFd(fd)) {
    void* address = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (address == MAP_FAILED) {
      FL_LOG(error, "guardian: cannot map the lease page: {}", ErrnoText(errno));
    } else {
      page = static_cast<faults::LeasePage*>(address);
    }
    close(map_fd);
  }
  if (page != nullptr) page->heartbeat_until_ns = 0;
  auto journal = UndoJournal::Open(options.journal_path);
  if (!journal.ok()) {
    FL_LOG(error, "guardian: {}", ToString(journal.status().message()));
    return 1;
  }
  return (*journal)->UndoAll(options.undo).ok() ? 0 : 1;
}

StatusOr<std::unique_ptr<Guardian>> Guardian::Fork(Options options) {
  std::unique_ptr<Guardian> guardian(new Guardian(std::move(options)));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Failed("socket pair");
  const pid_t pid = fork();
  if (pid < 0) return Failed("cannot be forked");
  if (pid == 0) _exit(Live(ends[1], guardian->options_));
  close(ends[1]);
  guardian->fd_ = ends[0];
  guardian->pid_ = pid;
  FL_RETURN_IF_ERROR(guardian->MoveEndToTheTop());
  return guardian;
}

Guardian::~Guardian() {
  if (fd_ >= 0) close(fd_);
  if (pid_ > 0) {
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

Status Guardian::MoveEndToTheTop() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return Failed("limit of open files");
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kHighestFd + 1));
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return Failed("limit of open files");
  const int top = static_cast<int>(std::min(limit.rlim_cur - 1, kHighestFd));
  if (fd_ == top) return absl::OkStatus();
  if (dup3(fd_, top, O_CLOEXEC) < 0) return Failed("socket cannot be moved");
  close(fd_);
  fd_ = top;
  return absl::OkStatus();
}

Status Guardian::WatchPage(int map_fd) {
  map_fd_ = map_fd;
  return SendFd(fd_, map_fd);
}

Status Guardian::Spawn() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Failed("socket pair");
  // Copies far above the numbers they are put on, so that neither overwrites the other.
  const int socket = fcntl(ends[1], F_DUPFD_CLOEXEC, 64);
  const int lock = fcntl(options_.journal_lock_fd, F_DUPFD_CLOEXEC, 64);
  close(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, kGuardianSocketFd);
  if (lock >= 0) posix_spawn_file_actions_adddup2(&actions, lock, kGuardianLockFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string program = "faultline-agent", command = "guardian", journal = options_.journal_path;
  char* arguments[] = {program.data(), command.data(), journal.data(), nullptr};
  const int error = posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(socket);
  if (lock >= 0) close(lock);
  if (error != 0) {
    close(ends[0]);
    pid_ = -1;
    errno = error;
    return Failed("cannot be started again");
  }
  fd_ = ends[0];
  FL_RETURN_IF_ERROR(MoveEndToTheTop());
  return map_fd_ >= 0 ? SendFd(fd_, map_fd_) : absl::OkStatus();
}

StatusOr<bool> Guardian::Revive() {
  const bool lives = pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0;
  if (lives) return false;
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  pid_ = -1;
  FL_RETURN_IF_ERROR(Spawn());
  return true;
}

}  // namespace faultline::agent
