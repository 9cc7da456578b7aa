#include "rpc/endpoint.h"

#include <arpa/inet.h>

namespace faultline::rpc {
namespace {

bool IsLoopback(const std::string& address) {
  if (address.rfind("unix:", 0) == 0) return true;
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return host == "localhost" || host == "::1";
}

}  // namespace

Status RequireLoopback(const std::string& address, std::string_view field) {
  if (IsLoopback(address)) return absl::OkStatus();
  return FieldError(field, address,
                    "without TLS only a loopback address such as 127.0.0.1:7400; give CA, "
                    "certificate and key files for any other");
}

}  // namespace faultline::rpc
