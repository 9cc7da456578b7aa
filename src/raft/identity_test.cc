#include "raft/identity.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "raft/test_dir.h"

namespace faultline::raft {
namespace {

TEST(IdentityTest, ADirectoryKeepsWhatItWasGiven) {
  TestDir dir;
  auto first = OpenIdentity(dir.path() + "/new", 3, true);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_NE(first->store_id, 0u);
  EXPECT_TRUE(first->joined);
  first->cluster_id = "c-1234";
  ASSERT_TRUE(SaveIdentity(dir.path() + "/new", *first).ok());
  const auto again = OpenIdentity(dir.path() + "/new", 3, false);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->store_id, first->store_id);
  EXPECT_EQ(again->cluster_id, "c-1234");
  EXPECT_TRUE(again->joined);
}

TEST(IdentityTest, AnotherNodesDirectoryIsRefused) {
  TestDir dir;
  ASSERT_TRUE(OpenIdentity(dir.path(), 3, false).ok());
  const auto other = OpenIdentity(dir.path(), 4, false);
  EXPECT_EQ(other.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(ToString(other.status().message()).find("is node 3's; this is node 4"),
            std::string::npos);
}

TEST(IdentityTest, AMemberThatHasLostItsLogIsRefusedAndIsNoNewNode) {
  TestDir dir;
  auto identity = OpenIdentity(dir.path(), 3, false);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_TRUE(OpenIdentity(dir.path(), 3, false).ok()) << "killed before it had a log";
  std::ofstream(dir.path() + "/CURRENT") << "MANIFEST-000004";
  identity->cluster_id = "c-1234";
  ASSERT_TRUE(SaveIdentity(dir.path(), *identity).ok());
  EXPECT_TRUE(OpenIdentity(dir.path(), 3, false).ok());
  std::filesystem::remove(dir.path() + "/CURRENT");
  for (const bool joins : {false, true}) {
    const Status lost = OpenIdentity(dir.path(), 3, joins).status();
    EXPECT_EQ(lost.code(), StatusCode::kDataLoss) << lost;
    EXPECT_NE(ToString(lost.message()).find("/CURRENT is missing"), std::string::npos) << lost;
  }
}

TEST(IdentityTest, ADamagedFileIsRefusedWithItsName) {
  TestDir dir;
  ASSERT_TRUE(OpenIdentity(dir.path(), 3, false).ok());
  std::fstream file(dir.path() + "/identity", std::ios::in | std::ios::out);
  file.seekp(30);
  file.put('9');
  file.close();
  const auto damaged = OpenIdentity(dir.path(), 3, false);
  EXPECT_EQ(damaged.status().code(), StatusCode::kDataLoss);
  EXPECT_NE(ToString(damaged.status().message()).find("/identity is damaged: repair or replace"),
            std::string::npos);
}

}  // namespace
}  // namespace faultline::raft
