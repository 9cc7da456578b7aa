// What programs of a test show over HTTP, asked for with curl.
#pragma once

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "tests/cluster/process.h"

namespace faultline::cluster {

// What a shell command prints, and how it ends.
inline Ended Shell(const std::string& command) {
  Ended run;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4'096];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) run.text.append(buffer, n);
  run.code = WEXITSTATUS(pclose(pipe));
  return run;
}

inline std::string Url(int port, const std::string& path) {
  return fmt::format("http://127.0.0.1:{}{}", port, path);
}

struct Answer {
  std::string status;
  std::string body;
};
inline Answer Get(int port, const std::string& path) {
  const std::string text =
      Shell("curl -s --max-time 20 -w '\\n%{http_code}' " + Url(port, path)).text;
  const size_t end = text.rfind('\n');
  return {text.substr(end + 1), text.substr(0, end)};
}

}  // namespace faultline::cluster
