// A benchmark of the network driver itself, between two network namespaces of its own.
#pragma once

#include <string>

#include "netns/harness.h"
#include "report.h"

namespace faultline::bench {

class DriverBench : public netns_test::DriverTest {
 public:
  explicit DriverBench(const std::string& name) : report_(name) {}
  void TestBody() override {}

  // Result: the program's exit code.
  int Main() {
    if (const auto reason = netns_test::WhyNot()) {
      report_.Fail(*reason);
      return report_.ExitCode();
    }
    SetUp();
    Measure();
    driver_.reset();
    network_.reset();
    return report_.ExitCode();
  }

 protected:
  // With the namespaces there and a driver that has no target yet.
  virtual void Measure() = 0;

  Report report_;
};

}  // namespace faultline::bench
