#include "netns/cgroup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

namespace faultline::netns_test {

OwnCgroup::OwnCgroup(const std::string& suffix) {
  for (const char* root : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
    if (std::filesystem::exists(std::string(root) + "/cgroup.procs")) root_ = root;
    if (!root_.empty()) break;
  }
  if (root_.empty()) {
    why_ = "cgroup v2 is not mounted";
    return;
  }
  std::ifstream own("/proc/self/cgroup");
  for (std::string line; std::getline(own, line);) {
    if (line.starts_with("0::")) home_ = line.substr(3);
  }
  name_ = "fl-test-" + std::to_string(getpid()) + suffix;
  std::filesystem::create_directory(root_ + "/" + name_);
  std::filesystem::create_directory(root_ + "/" + name_ + "/inner");
}

OwnCgroup::~OwnCgroup() {
  if (name_.empty()) return;
  const std::string path = root_ + "/" + name_;
  for (const std::string& each : {path + "/inner", path}) {
    // A thread that has been joined leaves its cgroup a moment later.
    for (int i = 0; i < 1000 && rmdir(each.c_str()) != 0 && errno == EBUSY; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

void OwnCgroup::Move(const std::string& cgroup) const {
  std::ofstream procs(root_ + cgroup + "/cgroup.procs");
  procs << getpid() << std::flush;
  EXPECT_TRUE(procs.good()) << cgroup;
}

}  // namespace faultline::netns_test
