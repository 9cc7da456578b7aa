// Where posts go.
#pragma once

#include <string>

#include "base/status.h"

namespace faultline::http {

struct Url {
  bool tls = false;
  std::string host;  // without the brackets of an IPv6 address
  std::string port;
  std::string target;  // path and query; "/" at least
};

// What ParseUrl takes, for error messages.
inline constexpr const char* kUrlForm =
    "https://host[:port][/path], or http:// to this host's loopback, without a user and a fragment";

// http://host[:port][/path] to this host's loopback, https:// to anywhere. INVALID_ARGUMENT about
// `url` for all else: other schemes, a user or password inside, a fragment, blanks.
StatusOr<Url> ParseUrl(const std::string& text);

}  // namespace faultline::http
