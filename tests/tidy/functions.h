// Finds function bodies in C and C++ by their braces: enough for code that clang-format has laid
// out, and no compiler needed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::tidy {

struct Function {
  std::string name;       // "Node::Start", "TEST(Suite, Name)"
  size_t first_line = 0;  // of the signature, from 1
  size_t lines = 0;       // signature to closing brace
};

// Outermost functions in order; lambdas count as a part of the function they stand in.
std::vector<Function> FindFunctions(std::string_view cpp);

}  // namespace faultline::tidy
