#include "base/durable_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace faultline {
namespace {

namespace fs = std::filesystem;

class DurableFileTest : public testing::Test {
 protected:
  DurableFileTest() {
    char name[] = "/tmp/durable_file_test.XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~DurableFileTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  static std::string Content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_;
};

TEST_F(DurableFileTest, AFileGoesOnBehindWhatIsKeptAndTakesItsNameAtTheEnd) {
  std::ofstream(Path("part")) << "abcdef";
  DurableFile file;
  ASSERT_TRUE(file.Open(Path("part"), 3).ok());
  ASSERT_TRUE(file.Append("xy").ok());
  EXPECT_FALSE(fs::exists(Path("whole")));
  ASSERT_TRUE(file.Publish(Path("whole")).ok());
  EXPECT_EQ(Content(Path("whole")), "abcxy");
  EXPECT_FALSE(fs::exists(Path("part")));
}

TEST_F(DurableFileTest, AnEmptyFileMayKeepItsName) {
  DurableFile file;
  ASSERT_TRUE(file.Open(Path("marker"), 0).ok());
  ASSERT_TRUE(file.Publish(Path("marker")).ok());
  EXPECT_TRUE(fs::exists(Path("marker")));
}

TEST_F(DurableFileTest, AReplacedFileIsTheNewOneAlone) {
  std::ofstream(Path("f")) << "longer than the new one";
  std::ofstream(Path("f.new")) << "left by a crash, longer too";
  ASSERT_TRUE(ReplaceFile(Path("f"), "new").ok());
  EXPECT_EQ(Content(Path("f")), "new");
  EXPECT_FALSE(fs::exists(Path("f.new")));
}

TEST_F(DurableFileTest, WhatCannotBeReplacedStays) {
  fs::create_directories(Path("f/inside"));
  const Status status = ReplaceFile(Path("f"), "new");
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(ToString(status.message()).find("cannot rename " + Path("f.new")), std::string::npos);
  EXPECT_TRUE(fs::exists(Path("f/inside")));
  EXPECT_FALSE(fs::exists(Path("f.new")));
}

TEST_F(DurableFileTest, AFolderThatIsNotThereIsNamed) {
  EXPECT_NE(ToString(ReplaceFile(Path("none/f"), "").message()).find(Path("none/f.new")),
            std::string::npos);
  EXPECT_NE(ToString(SyncFolder(Path("none")).message()).find("cannot open " + Path("none")),
            std::string::npos);
  EXPECT_TRUE(SyncFolder("").ok());
}

TEST_F(DurableFileTest, AFullDiskIsToldApart) {
  EXPECT_EQ(IoError("write", "f", ENOSPC).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(IoError("write", "f", EACCES).code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace faultline
