// Tests with an HTTP server, a script of Python's, in the server's namespace, and curl.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "netns/harness.h"
#include "netns/process.h"

namespace faultline::netns_test {

class HttpServerTest : public DriverTest {
 protected:
  // The last thing in SetUp: runs the script, which gets the port, until `answers`. Skips the test
  // where a program is missing.
  void Serve(const char* script, uint16_t port, const std::function<bool()>& answers) {
    int missing = 0;
    RunAnyhow({"curl", "--version"}, &missing);
    if (missing == 0) RunAnyhow({"python3", "--version"}, &missing);
    if (missing != 0) GTEST_SKIP() << "needs curl and python3";
    network_->InServer([&] {
      server_ = std::make_unique<Process>(
          std::vector<std::string>{"python3", "-c", script, std::to_string(port)});
    });
    for (int i = 0; i < 100 && !answers(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  std::unique_ptr<Process> server_;
};

}  // namespace faultline::netns_test
