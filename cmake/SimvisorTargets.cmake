# How libraries, programs and tests of this project are declared.

# simvisor_library(NAME name SRCS file... [HDRS file...] [DEPS target...])
#
# Adds the static library simvisor_<name> with the alias simvisor::<name>.
# Headers are included from the project's root.
function(simvisor_library)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SRCS;HDRS;DEPS")
  set(target simvisor_${arg_NAME})
  add_library(${target} STATIC ${arg_SRCS} ${arg_HDRS})
  add_library(simvisor::${arg_NAME} ALIAS ${target})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PUBLIC ${arg_DEPS} PRIVATE simvisor_warnings)
endfunction()

# simvisor_binary(NAME name SRCS file... [DEPS target...])
#
# Adds the program <name>, built into bin/.
function(simvisor_binary)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SRCS;DEPS")
  add_executable(${arg_NAME} ${arg_SRCS})
  set_target_properties(${arg_NAME} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  target_include_directories(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${arg_NAME} PRIVATE
    ${arg_DEPS} simvisor_warnings $<TARGET_NAME_IF_EXISTS:simvisor_tsan>)
endfunction()

# simvisor_test(NAME name SRCS file... LABEL label [DEPS target...]
#               [TIMEOUT seconds])
#
# Adds a GoogleTest program and the ctest entry of the same name, which is run
# from the project's root.  Building <label>_tests builds all that have the
# label.  The timeout is 300 s unless given.
function(simvisor_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;LABEL;TIMEOUT" "SRCS;DEPS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${arg_NAME} ${arg_SRCS})
  target_include_directories(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${arg_NAME} PRIVATE
    ${arg_DEPS} GTest::gmock_main Threads::Threads simvisor_warnings
    $<TARGET_NAME_IF_EXISTS:simvisor_tsan>)
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${arg_NAME} PROPERTIES
    TIMEOUT ${arg_TIMEOUT} LABELS ${arg_LABEL})
  if(NOT TARGET ${arg_LABEL}_tests)
    add_custom_target(${arg_LABEL}_tests)
  endif()
  add_dependencies(${arg_LABEL}_tests ${arg_NAME})
endfunction()

# simvisor_python_test(NAME name SCRIPT file [TIMEOUT seconds])
#
# Adds an end-to-end test in Python.  It runs from the project's root and finds
# the programs through the variables SIMVISORD and SIMVISOR, and what
# scripts/fetch_verifier.sh unpacked through XEN_UTILS.
function(simvisor_python_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;SCRIPT;TIMEOUT" "")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  # Debian's modules belong to Debian's interpreter, not to the first on PATH.
  add_test(NAME ${arg_NAME} COMMAND /usr/bin/python3 ${arg_SCRIPT}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${arg_NAME} PROPERTIES
    TIMEOUT ${arg_TIMEOUT} LABELS e2e
    ENVIRONMENT "SIMVISORD=$<TARGET_FILE:simvisord>;SIMVISOR=$<TARGET_FILE:simvisor>;XEN_UTILS=${PROJECT_SOURCE_DIR}/build/xen-utils;PYTHONDONTWRITEBYTECODE=1")
endfunction()
