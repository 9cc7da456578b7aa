// A directory for one test, removed with all its content.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace faultline::raft {

class TestDir {
 public:
  TestDir() {
    std::string path = std::filesystem::temp_directory_path() / "faultline-raft-XXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~TestDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace faultline::raft
