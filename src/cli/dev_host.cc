#include "cli/dev_host.h"

#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/yaml.h"
#include "client/addresses.h"

namespace faultline::cli {

namespace fs = std::filesystem;

StatusOr<WorkDirectory> WorkDirectory::Make(const std::string& given) {
  WorkDirectory directory;
  std::error_code error;
  if (!given.empty()) {
    directory.path_ = fs::absolute(given).lexically_normal().string();
    fs::create_directories(directory.path_, error);
  } else {
    std::string pattern = (fs::temp_directory_path() / "faultline-dev-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) error = {errno, std::generic_category()};
    directory.path_ = pattern;
    directory.temporary_ = true;
  }
  if (error) {
    return MakeError(StatusCode::kInvalidArgument, "cannot make the directory {}: {}",
                     directory.path_, error.message());
  }
  return directory;
}

void WorkDirectory::RemoveIfTemporary() const {
  std::error_code ignored;
  if (temporary_) fs::remove_all(path_, ignored);
}

StatusOr<std::string> ReadTargets(const std::string& path) {
  if (path.empty()) return std::string();
  const auto yaml = YamlMap::ReadFile(path);
  // A file that is not there is wrong use, not an experiment that is not there.
  if (!yaml.ok()) return Status(StatusCode::kInvalidArgument, yaml.status().message());
  FL_RETURN_IF_ERROR(yaml->AllowOnly({"targets"}));
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Status CheckAddressIsFree(const std::string& address) {
  FL_ASSIGN_OR_RETURN(const auto parsed, client::ParseAddresses(address, "--listen"));
  if (parsed.size() != 1 || parsed[0].starts_with("unix:")) {
    return FieldError("--listen", address, "one host:port");
  }
  const size_t colon = parsed[0].rfind(':');
  std::string host = parsed[0].substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), parsed[0].substr(colon + 1).c_str(), &hints, &found) != 0) {
    return FieldError("--listen", address, "an address of this host");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool taken = bind(fd, found->ai_addr, found->ai_addrlen) != 0;
  const int error = errno;
  close(fd);
  if (!taken) return absl::OkStatus();
  return MakeError(StatusCode::kInvalidArgument, "cannot listen on {}: {}; --listen names another",
                   parsed[0], ErrnoText(error));
}

}  // namespace faultline::cli
