# Debian's packages are built by its gcc. From version 18 on clang mangles some constrained templates otherwise than
# gcc 12 and 14 do, and one constructor of abseil would not be found: then as clang 17 did.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES absl::cord)
  set(FAULTLINE_CORD_SOURCE "
    #include <absl/strings/cord.h>
    #include <string>
    int main(int argc, char** argv) { return absl::Cord(std::string(argv[0], argc)).empty(); }")
  check_cxx_source_compiles("${FAULTLINE_CORD_SOURCE}" FAULTLINE_MANGLES_AS_PACKAGES)
  if(NOT FAULTLINE_MANGLES_AS_PACKAGES)
    set(CMAKE_REQUIRED_FLAGS -fclang-abi-compat=17)
    check_cxx_source_compiles("${FAULTLINE_CORD_SOURCE}" FAULTLINE_MANGLES_AS_PACKAGES_AS_CLANG_17)
    unset(CMAKE_REQUIRED_FLAGS)
    if(NOT FAULTLINE_MANGLES_AS_PACKAGES_AS_CLANG_17)
      message(FATAL_ERROR "${CMAKE_CXX_COMPILER} cannot link this system's abseil")
    endif()
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fclang-abi-compat=17>)
  endif()
  unset(CMAKE_REQUIRED_LIBRARIES)
endif()
