#include "bpf/sysctl.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <charconv>

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
  return MakeError(StatusCode::kFailedPrecondition, "kernel setting {} cannot be {}: {}",
                   NameOf(key), what, ErrnoText(errno));
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

bool ParseWord(const std::string& text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::vector<std::string> SysctlChange::ToArguments() const {
  return {netns,    std::to_string(netns_id.device), std::to_string(netns_id.inode), key, old_value,
          our_value};
}

StatusOr<SysctlChange> SysctlChange::FromArguments(const std::vector<std::string>& arguments) {
  SysctlChange change;
  uint64_t device = 0, inode = 0;
  if (arguments.size() != 6 || !ParseWord(arguments[1], &device) ||
      !ParseWord(arguments[2], &inode) || arguments[3].empty() ||
      arguments[3].find("..") != std::string::npos) {
    return MakeError(StatusCode::kInvalidArgument, "arguments of an undo record are damaged");
  }
  change.netns = arguments[0];
  change.netns_id = {static_cast<dev_t>(device), static_cast<ino_t>(inode)};
  change.key = arguments[3];
  change.old_value = arguments[4];
  change.our_value = arguments[5];
  return change;
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
  const auto netns_fd = FindNetns(change.netns, change.netns_id);
  if (netns_fd.status().code() == StatusCode::kNotFound) return absl::OkStatus();
  FL_RETURN_IF_ERROR(netns_fd.status());
  return InNetns(*netns_fd, [&]() -> Status {
    const auto now = Read(change.key);
    if (!now.ok() || *now != change.our_value) return absl::OkStatus();
    return Write(change.key, change.old_value);
  });
}

}  // namespace faultline::bpf
