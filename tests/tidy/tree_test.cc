// The rules, held by the tree as it is.
#include <gtest/gtest.h>

#include <algorithm>

#include "tidy/rules.h"

namespace faultline::tidy {
namespace {

const Sources& Tree() {
  static const Sources tree = TrackedSources(FAULTLINE_SOURCE_DIR);
  return tree;
}

std::string Joined(const Complaints& complaints) {
  std::string text;
  for (const std::string& complaint : complaints) text += complaint + "\n";
  return text;
}

TEST(Tree, IsReadFromGit) {
  EXPECT_TRUE(std::any_of(Tree().begin(), Tree().end(),
                          [](const Source& s) { return s.path == "CMakeLists.txt"; }));
}

TEST(Tree, IncludesPointOneWay) { EXPECT_EQ(Joined(CheckIncludeEdges(Tree())), ""); }

TEST(Tree, ControlAndSpecsArePure) { EXPECT_EQ(Joined(CheckPurity(Tree())), ""); }

TEST(Tree, FilesAndFunctionsKeepTheirSizes) {
  const auto table = std::find_if(Tree().begin(), Tree().end(), [](const Source& s) {
    return s.path == "tests/tidy/ratchet.txt";
  });
  ASSERT_NE(table, Tree().end());
  EXPECT_EQ(Joined(CheckSizes(Tree(), ParseRatchet(table->text))), "");
}

TEST(Tree, FaultKindsStayInTheirSlice) {
  EXPECT_EQ(Joined(CheckFaultKindsStayInTheirSlice(Tree())), "");
}

TEST(Tree, HasNothingUnfinished) { EXPECT_EQ(Joined(CheckUnfinished(Tree())), ""); }

TEST(Tree, TracksNothingGeneratedOrHuge) { EXPECT_EQ(Joined(CheckTracked(Tree())), ""); }

TEST(Tree, NamesNoPathOfOneMachine) { EXPECT_EQ(Joined(CheckMachinePaths(Tree())), ""); }

TEST(Tree, HasOnlyTestLabelsThatAreRun) { EXPECT_EQ(Joined(CheckLabels(Tree())), ""); }

TEST(Tree, DocumentsEveryPackageOfBootstrap) { EXPECT_EQ(Joined(CheckDependencies(Tree())), ""); }

TEST(Tree, NamesOnlyFilesThatExistInItsDocs) { EXPECT_EQ(Joined(CheckDocPaths(Tree())), ""); }

TEST(Tree, LintsEveryProto) { EXPECT_EQ(Joined(CheckProtoLint(Tree())), ""); }

}  // namespace
}  // namespace faultline::tidy
