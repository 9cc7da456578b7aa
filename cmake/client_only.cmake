# The shared client library and what it is made of: all that clients/macos needs, without the
# packages of control plane and agent.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(APPLE)
  # There CLOCK_MONOTONIC goes on in suspend.
  add_compile_definitions(CLOCK_BOOTTIME=CLOCK_MONOTONIC)
endif()
add_subdirectory(api)
faultline_preludes()
foreach(folder src/base src/rpc src/client)
  add_subdirectory(${folder})
endforeach()
