# Most of what the compiler reads are headers of the standard library, of packages, and of the messages that everything
# speaks in. They are compiled once for each kind of target: with or without gRPC, program or test. Each source still
# includes all that it uses: with -DFAULTLINE_PRECOMPILE=OFF, and under compilers other than clang, nothing is
# precompiled.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(FAULTLINE_CAN_PRECOMPILE ON)
else()
  set(FAULTLINE_CAN_PRECOMPILE OFF)
endif()
option(FAULTLINE_PRECOMPILE "Precompile the headers of packages" ${FAULTLINE_CAN_PRECOMPILE})

set(FAULTLINE_HEADERS
  <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstdint> <deque> <filesystem> <fstream>
  <functional> <future> <map> <memory> <mutex> <optional> <random> <set> <span> <sstream> <string>
  <string_view> <thread> <tuple> <unordered_map> <utility> <variant> <vector>
  <absl/status/statusor.h> <absl/synchronization/mutex.h> <fmt/format.h>
  <google/protobuf/util/json_util.h> <google/protobuf/util/time_util.h>
  <chaos/v1/agent.pb.h> <chaos/v1/chaos.pb.h> <chaos/v1/cluster.pb.h> <chaos/v1/errors.pb.h>
  <chaos/v1/report.pb.h> <chaos/v1/webhook.pb.h>)
set(FAULTLINE_GRPC_HEADERS
  <grpcpp/grpcpp.h> <chaos/v1/agent.grpc.pb.h> <chaos/v1/chaos.grpc.pb.h> <chaos/v1/cluster.grpc.pb.h>)
if(NOT FAULTLINE_CLIENT_ONLY)
  # Not CLI11: its global objects would be compiled into every source.
  list(APPEND FAULTLINE_GRPC_HEADERS <nlohmann/json.hpp>)
endif()
set(FAULTLINE_TEST_HEADERS <gmock/gmock.h> <gtest/gtest.h>)
# clang refuses precompiled headers under other macros, and packages define some.
set(FAULTLINE_PRELUDE_DEPS api_messages absl::statusor absl::synchronization fmt::fmt)

# One of the four: prelude, prelude_grpc, prelude_test, prelude_grpc_test.
function(faultline_prelude name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS" ${ARGN})
  set(empty ${CMAKE_BINARY_DIR}/gen/${name}.cc)
  file(CONFIGURE OUTPUT ${empty} CONTENT "// Only carries the precompiled headers.\n")
  add_library(${name} OBJECT ${empty})
  target_link_libraries(${name} PRIVATE ${FAULTLINE_PRELUDE_DEPS} ${ARG_DEPS})
  target_precompile_headers(${name} PRIVATE ${FAULTLINE_HEADERS} ${ARG_HEADERS})
endfunction()

# faultline_preludes(): makes them, once the messages are there.
function(faultline_preludes)
  if(NOT FAULTLINE_PRECOMPILE)
    return()
  endif()
  faultline_prelude(prelude)
  faultline_prelude(prelude_grpc HEADERS ${FAULTLINE_GRPC_HEADERS} DEPS api_services)
  if(NOT FAULTLINE_CLIENT_ONLY)
    faultline_prelude(prelude_test HEADERS ${FAULTLINE_TEST_HEADERS} DEPS GTest::gmock)
    faultline_prelude(prelude_grpc_test
      HEADERS ${FAULTLINE_GRPC_HEADERS} ${FAULTLINE_TEST_HEADERS} DEPS api_services GTest::gmock)
  endif()
endfunction()

# faultline_links(OUT TARGET WHAT): whether TARGET links WHAT, itself or through our libraries.
function(faultline_links out target what)
  set(${out} FALSE PARENT_SCOPE)
  set(open ${target})
  set(seen)
  while(open)
    list(POP_FRONT open next)
    if(next STREQUAL what)
      set(${out} TRUE PARENT_SCOPE)
      return()
    endif()
    if(NOT next IN_LIST seen AND TARGET ${next})
      list(APPEND seen ${next})
      foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
        get_target_property(linked ${next} ${property})
        if(linked)
          list(APPEND open ${linked})
        endif()
      endforeach()
    endif()
  endwhile()
endfunction()

# faultline_precompiled(TARGET): the target's sources begin with the precompiled headers that fit what it links.
function(faultline_precompiled target)
  if(NOT FAULTLINE_PRECOMPILE)
    return()
  endif()
  set(prelude prelude)
  faultline_links(with_grpc ${target} PkgConfig::GRPCPP)
  if(with_grpc)
    string(APPEND prelude _grpc)
  endif()
  faultline_links(with_gmock ${target} GTest::gmock)
  if(with_gmock)
    string(APPEND prelude _test)
  endif()
  target_link_libraries(${target} PRIVATE ${FAULTLINE_PRELUDE_DEPS})
  target_precompile_headers(${target} REUSE_FROM ${prelude})
endfunction()
