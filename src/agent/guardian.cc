#include "agent/guardian.h"

#include <fcntl.h>
#include <poll.h>
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
#include <iterator>
#include <optional>
#include <vector>

#include "agent/fault_log.h"
#include "agent/v1/guardian.pb.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr rlim_t kHighestFd = 16'383;  // 128 KiB of descriptor table
constexpr size_t kMaxMessageBytes = 64 * 1024;
constexpr size_t kFaultsInMessage = 64;

using faults::FaultKey;
using Armed = std::set<FaultKey>;

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

// A message of the agent's: the lease page's descriptor, or which faults are armed.
struct News {
  int page_fd = -1;
  ::agent::v1::ArmedChange change;
};

// Waits for the next one; none when the other end has closed.
std::optional<News> Receive(int socket) {
  std::string bytes(kMaxMessageBytes, '\0');
  while (true) {
    iovec data{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    News news;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
      memcpy(&news.page_fd, CMSG_DATA(header), sizeof news.page_fd);
      return news;
    }
    if (news.change.ParseFromArray(bytes.data(), static_cast<int>(n))) return news;
  }
}

FaultKey KeyOf(const ::agent::v1::ArmedFault& fault) {
  return {fault.experiment_id(), fault.fault_index(), fault.target_id()};
}

void Fill(const FaultKey& key, ::agent::v1::ArmedFault* fault) {
  fault->set_experiment_id(key.experiment_id);
  fault->set_fault_index(key.fault_index);
  fault->set_target_id(key.target_id);
}

void Follow(const ::agent::v1::ArmedChange& change, Armed* armed) {
  for (const auto& fault : change.ended()) armed->erase(KeyOf(fault));
  for (const auto& fault : change.armed()) armed->insert(KeyOf(fault));
}

Armed Without(const Armed& all, const Armed& some) {
  Armed rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(),
                      std::inserter(rest, rest.end()));
  return rest;
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

// Result: the guardian's exit code.
int Undo(const Guardian::Options& options) {
  auto journal = UndoJournal::Open(options.journal_path);
  if (!journal.ok()) {
    FL_LOG(error, "guardian: {}", ToString(journal.status().message()));
    UndoJournal::UndoReadable(options.journal_path, options.undo).IgnoreError();
    return 1;
  }
  return (*journal)->UndoAll(options.undo, Guardian::kUndoPatience).ok() ? 0 : 1;
}

}  // namespace

int Guardian::Live(int fd, const Options& options) {
  KeepOnly({STDERR_FILENO, fd, options.journal_lock_fd});
  BecomeGuardian();
  faults::LeasePage* page = nullptr;
  Armed armed;
  while (const auto news = Receive(fd)) {
    Follow(news->change, &armed);
    if (news->page_fd < 0) continue;
    void* address = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, news->page_fd, 0);
    if (address == MAP_FAILED) {
      FL_LOG(error, "guardian: cannot map the lease page: {}", ErrnoText(errno));
    } else {
      page = static_cast<faults::LeasePage*>(address);
    }
    close(news->page_fd);
  }
  if (page != nullptr) page->heartbeat_until_ns = 0;
  const int result = Undo(options);
  for (const FaultKey& key : armed) {
    const LogFields about = About(key);
    FL_LOG(warn, "{}: ended by the guardian: the agent is gone", Text(key));
  }
  return result;
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

void Guardian::SetArmed(std::set<FaultKey> armed) {
  armed_ = std::move(armed);
  TellArmed();
}

void Guardian::TellArmed() {
  const Armed armed = Without(armed_, told_), ended = Without(told_, armed_);
  auto next_armed = armed.begin(), next_ended = ended.begin();
  while (next_armed != armed.end() || next_ended != ended.end()) {
    ::agent::v1::ArmedChange change;
    for (size_t i = 0; i < kFaultsInMessage; ++i) {
      if (next_ended != ended.end()) {
        Fill(*next_ended++, change.add_ended());
      } else if (next_armed != armed.end()) {
        Fill(*next_armed++, change.add_armed());
      }
    }
    const std::string bytes = change.SerializeAsString();
    if (send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
    Follow(change, &told_);
  }
}

void Guardian::Flush(std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (TellArmed(); !told() && fd_ >= 0; TellArmed()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd socket{fd_, POLLOUT, 0};
    if (left.count() <= 0 || poll(&socket, 1, static_cast<int>(left.count())) == 0) return;
    if ((socket.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) return;
  }
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
  std::vector<std::string> flags = options_.flags;
  std::vector<char*> arguments = {program.data(), command.data(), journal.data()};
  for (std::string& flag : flags) arguments.push_back(flag.data());
  arguments.push_back(nullptr);
  const int error =
      posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
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
  if (map_fd_ >= 0) FL_RETURN_IF_ERROR(SendFd(fd_, map_fd_));
  told_.clear();
  TellArmed();
  return absl::OkStatus();
}

StatusOr<bool> Guardian::Revive() {
  const bool lives = pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0;
  if (lives) {
    TellArmed();
    return false;
  }
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  pid_ = -1;
  FL_RETURN_IF_ERROR(Spawn());
  return true;
}

}  // namespace faultline::agent
