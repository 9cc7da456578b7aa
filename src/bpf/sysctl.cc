#include "bpf/sysctl.h"

#include <fcntl.h>

#include <array>
#include <cerrno>

#include "bpf/undo_words.h"

namespace faultline::bpf {
namespace {

constexpr char kRoot[] = "/proc/sys/net/";

// As people write it: "net.ipv4.conf.lo.accept_local".
std::string NameOf(const std::string& key) {
  std::string name = "net." + key;
  for (char& c : name) {
    if (c == '/') c = '.';
  }
  return name;
}

Status Failed(const std::string& key, const char* what) {
  const auto code = errno == ENOENT ? StatusCode::kNotFound : StatusCode::kFailedPrecondition;
  return MakeError(code, "kernel setting {} cannot be {}: {}", NameOf(key), what, ErrnoText(errno));
}

// The following are for the calling thread's namespace.

StatusOr<std::string> Read(const std::string& key) {
  const UniqueFd fd(open((kRoot + key).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text;
  const ssize_t size = fd.valid() ? read(fd.get(), text.data(), text.size()) : -1;
  if (size < 0) return Failed(key, "read");
  std::string value(text.data(), static_cast<size_t>(size));
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

Status Write(const std::string& key, const std::string& value) {
  const UniqueFd fd(open((kRoot + key).c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), value.data(), value.size()) < 0) return Failed(key, "set");
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> SysctlChange::ToArguments() const {
  return {netns,    std::to_string(netns_id.device), std::to_string(netns_id.inode), key, old_value,
          our_value};
}

StatusOr<SysctlChange> SysctlChange::FromArguments(const std::vector<std::string>& arguments) {
  NetnsId id;
  if (arguments.size() != 6 || !ParseWord(arguments[1], &id.device) ||
      !ParseWord(arguments[2], &id.inode) || arguments[3].empty() ||
      arguments[3].find("..") != std::string::npos) {
    return DamagedWords();
  }
  return SysctlChange{arguments[0], id, arguments[3], arguments[4], arguments[5]};
}

StatusOr<SysctlChange> PlanSysctl(const std::string& netns, const std::string& key,
                                  const std::string& our_value) {
  SysctlChange change;
  change.netns = netns;
  change.key = key;
  change.our_value = our_value;
  FL_ASSIGN_OR_RETURN(const UniqueFd netns_fd, OpenNetns(netns));
  FL_ASSIGN_OR_RETURN(change.netns_id, IdOf(netns_fd));
  FL_RETURN_IF_ERROR(InNetns(netns_fd, [&]() -> Status {
    FL_ASSIGN_OR_RETURN(change.old_value, Read(key));
    return absl::OkStatus();
  }));
  return change;
}

Status ApplySysctl(const SysctlChange& change) {
  FL_ASSIGN_OR_RETURN(const UniqueFd netns_fd, OpenNetns(change.netns, change.netns_id));
  return InNetns(netns_fd, [&] { return Write(change.key, change.our_value); });
}

Status RestoreSysctl(const SysctlChange& change) {
  return InNetnsIfThere(change.netns, change.netns_id, [&]() -> Status {
    const auto now = Read(change.key);
    // The interface has gone.
    if (now.status().code() == StatusCode::kNotFound) return absl::OkStatus();
    FL_RETURN_IF_ERROR(now.status());
    if (*now != change.our_value) return absl::OkStatus();
    return Write(change.key, change.old_value);
  });
}

}  // namespace faultline::bpf
