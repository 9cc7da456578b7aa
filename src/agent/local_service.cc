#include "agent/local_service.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

namespace faultline::agent {
namespace {

namespace v1 = ::agent::v1;

constexpr size_t kMaxRequestBytes = 64 * 1024;
constexpr timeval kPatience{10, 0};

// A descriptor that is closed with its object.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

int NewSocket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  return fd;
}

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

bool ConnectTo(int fd, const std::string& path) {
  const sockaddr_un address = AddressOf(path);
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Sends a message and ends that direction.
bool SendWhole(int fd, const google::protobuf::MessageLite& message) {
  const std::string bytes = message.SerializeAsString();
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return shutdown(fd, SHUT_WR) == 0;
}

// Receives a message up to the end of that direction.
bool ReceiveWhole(int fd, size_t max_bytes, google::protobuf::MessageLite* message) {
  std::string bytes;
  char buffer[4096];
  while (true) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 || bytes.size() > max_bytes) return false;
    if (n == 0) return message->ParseFromString(bytes);
    bytes.append(buffer, static_cast<size_t>(n));
  }
}

// The socket's mode keeps others out; this holds even if someone has changed the mode.
bool PeerIsRoot(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

StatusOr<v1::LocalResponse> Ask(const std::string& path, const v1::LocalRequest& request) {
  const Fd fd(NewSocket());
  if (!ConnectTo(fd.get(), path)) {
    if (errno == EACCES) {
      return MakeError(StatusCode::kPermissionDenied, "only root may ask the agent (at {})", path);
    }
    return MakeError(StatusCode::kUnavailable, "no agent answers at {}: {}", path,
                     ErrnoText(errno));
  }
  v1::LocalResponse response;
  if (!SendWhole(fd.get(), request) || !ReceiveWhole(fd.get(), SIZE_MAX, &response) ||
      response.response_case() == v1::LocalResponse::RESPONSE_NOT_SET) {
    return MakeError(StatusCode::kUnavailable, "the agent at {} gave no answer", path);
  }
  return response;
}

Status MakeFolderOf(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (std::filesystem::exists(folder, error)) return absl::OkStatus();
  std::filesystem::create_directories(folder.parent_path(), error);
  if (mkdir(folder.c_str(), 0700) == 0) return absl::OkStatus();
  return MakeError(StatusCode::kFailedPrecondition, "{}: cannot be made: {}", folder.string(),
                   ErrnoText(errno));
}

}  // namespace

struct LocalService::Impl {
  Impl(const std::string& its_path, Agent* its_agent) : path(its_path), agent(its_agent) {}
  void Loop();
  void Answer(int fd);

  const std::string path;
  Agent* const agent;
  const Fd listener{NewSocket()};
  const Fd stop{eventfd(0, EFD_CLOEXEC)};
  std::thread thread;
};

void LocalService::Impl::Loop() {
  while (true) {
    pollfd fds[] = {{listener.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    const Fd connection(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.get() >= 0) Answer(connection.get());
  }
}

void LocalService::Impl::Answer(int fd) {
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  v1::LocalRequest request;
  if (!PeerIsRoot(fd) || !ReceiveWhole(fd, kMaxRequestBytes, &request)) return;
  v1::LocalResponse response;
  switch (request.request_case()) {
    case v1::LocalRequest::kStatus:
      *response.mutable_status() = agent->GetStatus();
      break;
    case v1::LocalRequest::kHalt:
      *response.mutable_halt() = agent->Halt();
      break;
    case v1::LocalRequest::kResume:
      agent->Resume();
      response.mutable_resume();
      break;
    case v1::LocalRequest::REQUEST_NOT_SET:
      return;
  }
  SendWhole(fd, response);
}

Status CheckSocketIsFree(const std::string& path) {
  const Fd fd(NewSocket());
  if (!ConnectTo(fd.get(), path)) return absl::OkStatus();
  return MakeError(StatusCode::kFailedPrecondition,
                   "another faultline-agent runs on this host (it answers at {})", path);
}

StatusOr<std::unique_ptr<LocalService>> LocalService::Serve(const std::string& path, Agent* agent) {
  FL_RETURN_IF_ERROR(CheckSocketIsFree(path));
  FL_RETURN_IF_ERROR(MakeFolderOf(path));
  auto impl = std::make_unique<Impl>(path, agent);
  unlink(path.c_str());  // left by an agent that was killed
  const sockaddr_un address = AddressOf(path);
  const mode_t before = umask(0177);
  const int bound =
      bind(impl->listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  umask(before);
  if (bound != 0 || listen(impl->listener.get(), 16) != 0) {
    return MakeError(StatusCode::kFailedPrecondition, "{}: cannot be listened on: {}", path,
                     ErrnoText(errno));
  }
  impl->thread = std::thread([owner = impl.get()] { owner->Loop(); });
  pthread_setname_np(impl->thread.native_handle(), "fl-local");
  return std::unique_ptr<LocalService>(new LocalService(std::move(impl)));
}

LocalService::LocalService(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

LocalService::~LocalService() {
  eventfd_write(impl_->stop.get(), 1);
  impl_->thread.join();
  unlink(impl_->path.c_str());
}

StatusOr<v1::StatusResponse> AskStatus(const std::string& path) {
  v1::LocalRequest request;
  request.mutable_status();
  FL_ASSIGN_OR_RETURN(const v1::LocalResponse response, Ask(path, request));
  return response.status();
}

StatusOr<v1::HaltResponse> AskHalt(const std::string& path) {
  v1::LocalRequest request;
  request.mutable_halt();
  FL_ASSIGN_OR_RETURN(const v1::LocalResponse response, Ask(path, request));
  return response.halt();
}

Status AskResume(const std::string& path) {
  v1::LocalRequest request;
  request.mutable_resume();
  return Ask(path, request).status();
}

}  // namespace faultline::agent
