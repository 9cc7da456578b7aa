// The files that the tidy rules look at.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::tidy {

struct Source {
  std::string path;  // from the project's root
  std::string text;  // empty for what is not text
  uint64_t size_bytes = 0;
};

// Every file that git tracks below `root`, sorted by path. Empty when git does not answer.
std::vector<Source> TrackedSources(const std::string& root);

// C, C++ and protobuf text with comments replaced by blanks, line ends kept; string literals are
// blanked too unless they are asked for.
std::string WithoutComments(std::string_view text, bool keep_strings);

bool IsCpp(std::string_view path);  // .cc, .h, .c

std::vector<std::string_view> Lines(std::string_view text);

}  // namespace faultline::tidy
