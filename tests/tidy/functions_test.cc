#include "tidy/functions.h"

#include <gtest/gtest.h>

namespace faultline::tidy {
namespace {

struct Case {
  const char* name;
  const char* text;
  const char* function;
  size_t first_line;
  size_t lines;
};

class FunctionsFoundIn : public testing::TestWithParam<Case> {};

TEST_P(FunctionsFoundIn, OneFunctionWithItsNameAndLength) {
  const std::vector<Function> found = FindFunctions(GetParam().text);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, GetParam().function);
  EXPECT_EQ(found[0].first_line, GetParam().first_line);
  EXPECT_EQ(found[0].lines, GetParam().lines);
}

INSTANTIATE_TEST_SUITE_P(
    Code, FunctionsFoundIn,
    testing::Values(
        Case{"Free", "int F(int a) {\n  return a;\n}\n", "F", 1, 3},
        Case{"InNamespace", "namespace a {\n\nvoid G() {\n}\n}\n", "G", 3, 2},
        Case{"Method", "struct S {\n  int b = 0;\n  int F() const {\n    return 1;\n  }\n};", "F",
             3, 3},
        Case{"OutOfClass", "Status Node::Start(\n    int x) {\n  x = 1;\n}\n", "Node::Start", 1, 4},
        Case{"ConstructorWithBraceInitialisers", "A::A(int x) : a_{x}, b_(1) {\n  F();\n}\n",
             "A::A", 1, 3},
        Case{"LambdaStaysInside", "void F() {\n  auto f = [] {\n    return 1;\n  };\n}\n", "F", 1,
             5},
        Case{"DefaultArgumentWithBraces", "void F(A a = {}) {\n  a;\n}\n", "F", 1, 3},
        Case{"StructResult", "struct A F(void) {\n  return a;\n}\n", "F", 1, 3},
        Case{"ExternC", "extern \"C\" {\nint F(void) {\n  return 0;\n}\n}\n", "F", 2, 3},
        Case{"BpfProgram",
             "SEC(\"tcx/egress\")\nint out(struct __sk_buff *skb) {\n  return 0;\n}\n", "out", 1,
             4},
        Case{"Test", "TEST(Suite, DoesIt) {\n  F();\n}\n", "TEST(Suite, DoesIt)", 1, 3},
        Case{"BracesInText", "void F() {\n  g(\"}{\", '{');  // }\n}\n", "F", 1, 3},
        Case{"RawString", "void F() {\n  g(R\"(}}\n)\");\n}\n", "F", 1, 4},
        Case{"DigitSeparator", "int F() {\n  return 10'000 + 20'000;\n}\n", "F", 1, 3},
        Case{"MacroBefore", "#define M(x) {\n#define N \\\n  {\nvoid F() {\n}\n", "F", 4, 2},
        Case{"TableBefore", "const int kA[] = {G(1), 2};\nvoid F() {\n}\n", "F", 2, 2}),
    [](const testing::TestParamInfo<Case>& each) { return std::string(each.param.name); });

TEST(FindFunctions, FindsNothingInDeclarationsAndTables) {
  EXPECT_TRUE(FindFunctions("int F();\nstruct A { int b; };\nenum class E { kA };\n"
                            "const int kT[] = {1, 2};\n")
                  .empty());
}

}  // namespace
}  // namespace faultline::tidy
