# The few functions that every CMakeLists.txt of the project is written with.

# faultline_library(NAME SOURCES a.cc ... DEPS x ...): a static library; headers are included
# relative to src/ or to the project's root ("faults/...").
function(faultline_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${FAULTLINE_WARNINGS})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
  faultline_precompiled(${name})
endfunction()

# faultline_executable(NAME SOURCES ... DEPS ...): a program.
function(faultline_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${FAULTLINE_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  faultline_precompiled(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# faultline_test(NAME SOURCES ... DEPS ... [LABEL unit|sim|netns|cluster|e2e|tidy]): a GoogleTest
# program in <build>/tests/<label>/; scripts/test.sh runs all that stand there. Label `unit` is the
# default, and means: no root, no other process, a few seconds. With FAULTLINE_CLIENT_ONLY there are no
# tests.
function(faultline_test name)
  if(FAULTLINE_CLIENT_ONLY)
    return()
  endif()
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_LABEL MATCHES "^(unit|sim|netns|cluster|e2e|tidy)$")
    message(FATAL_ERROR "test ${name}: scripts/test.sh runs no tests labelled '${ARG_LABEL}'")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${FAULTLINE_WARNINGS})
  target_compile_definitions(${name} PRIVATE
    FAULTLINE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" FAULTLINE_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  faultline_precompiled(${name})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/${ARG_LABEL})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL})
  if(ARG_LABEL STREQUAL "unit")
    set_property(GLOBAL APPEND PROPERTY FAULTLINE_UNIT_TESTS ${name})
  endif()
endfunction()

# What the sanitizer runs of scripts/test.sh build. ThreadSanitizer must see the code of every
# thread, and Debian's gRPC is not built for it.
function(faultline_unit_test_targets)
  get_property(all GLOBAL PROPERTY FAULTLINE_UNIT_TESTS)
  add_custom_target(unit_tests DEPENDS ${all})
  add_custom_target(unit_tests_without_grpc)
  foreach(test ${all})
    faultline_links(with_grpc ${test} PkgConfig::GRPCPP)
    if(NOT with_grpc)
      add_dependencies(unit_tests_without_grpc ${test})
    endif()
  endforeach()
endfunction()

# faultline_bench(NAME SOURCES ... DEPS ...): a benchmark in <build>/bench/; scripts/bench.sh NAME
# runs <build>/bench/NAME.
function(faultline_bench name)
  faultline_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
  target_compile_definitions(${name} PRIVATE FAULTLINE_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
endfunction()

# faultline_proto(NAME ROOT dir PROTOS relative/paths.proto ... [GRPC] DEPS ...): a library of the
# generated classes; with GRPC the services too. Included as "relative/paths.pb.h".
function(faultline_proto name)
  cmake_parse_arguments(ARG "GRPC" "ROOT" "PROTOS;DEPS" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/gen)
  set(includes -I ${ARG_ROOT} -I ${PROJECT_SOURCE_DIR}/api -I ${PROJECT_SOURCE_DIR}/faults
    -I ${PROJECT_SOURCE_DIR}/src)
  set(sources)
  foreach(proto ${ARG_PROTOS})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(outputs ${out}/${stem}.pb.cc ${out}/${stem}.pb.h)
    set(plugin)
    if(ARG_GRPC)
      list(APPEND outputs ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h)
      set(plugin --grpc_out=${out} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
    endif()
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND ${PROTOC} ${includes} --cpp_out=${out} ${plugin} ${ARG_ROOT}/${proto}
      DEPENDS ${ARG_ROOT}/${proto}
      VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_compile_options(${name} PRIVATE -w)
  target_link_libraries(${name} PUBLIC PkgConfig::PROTOBUF ${ARG_DEPS})
  if(ARG_GRPC)
    target_link_libraries(${name} PUBLIC PkgConfig::GRPCPP)
  endif()
endfunction()

# faultline_bpf(NAME source.bpf.c [DEPENDS headers]): compiles a BPF object with clang and makes its
# skeleton, included as "NAME.skel.h".
function(faultline_bpf name source)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/gen/bpf)
  add_custom_command(
    OUTPUT ${out}/${name}.skel.h
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
    COMMAND ${BPF_CLANG} -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror
      -D__TARGET_ARCH_${FAULTLINE_BPF_ARCH} -I ${PROJECT_SOURCE_DIR}/src -I ${PROJECT_SOURCE_DIR}
      -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
      -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${out}/${name}.bpf.o -MD -MF ${out}/${name}.bpf.d
      -MT ${out}/${name}.skel.h
    COMMAND ${BPF_STRIP} -g ${out}/${name}.bpf.o
    COMMAND sh -c "${BPFTOOL} gen skeleton ${out}/${name}.bpf.o name ${name} > ${out}/${name}.skel.h"
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} ${ARG_DEPENDS}
    DEPFILE ${out}/${name}.bpf.d
    VERBATIM)
  add_custom_target(${name}_skeleton DEPENDS ${out}/${name}.skel.h)
  add_library(${name}_bpf INTERFACE)
  target_include_directories(${name}_bpf SYSTEM INTERFACE ${out})
  add_dependencies(${name}_bpf ${name}_skeleton)
endfunction()
