#include "netns/cgroup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace faultline::netns_test {

OwnCgroup::OwnCgroup() {
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
  name_ = "fl-test-" + std::to_string(getpid());
  std::filesystem::create_directory(root_ + "/" + name_);
  std::filesystem::create_directory(root_ + "/" + name_ + "/inner");
}

OwnCgroup::~OwnCgroup() {
  if (name_.empty()) return;
  rmdir((root_ + "/" + name_ + "/inner").c_str());
  rmdir((root_ + "/" + name_).c_str());
}

void OwnCgroup::Move(const std::string& cgroup) const {
  std::ofstream procs(root_ + cgroup + "/cgroup.procs");
  procs << getpid() << std::flush;
  EXPECT_TRUE(procs.good()) << cgroup;
}

}  // namespace faultline::netns_test
