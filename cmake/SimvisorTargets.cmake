# How libraries, programs and tests of this project are declared.

# ccache supports precompiled headers only with these options.
function(simvisor_cacheable target)
  target_compile_options(${target} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
    "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endfunction()

# simvisor_precompiled(TARGET HEADER...)
#
# Compiles these headers once for the sources of TARGET.  Sources still include
# everything they use; scripts/slow.sh compiles those of the programs
# without them.
function(simvisor_precompiled target)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  simvisor_cacheable(${target})
endfunction()

# simvisor_unit(PREFIX COUNT SOURCE...)
#
# Compiles the sources together, in COUNT units of about the same size.
function(simvisor_unit prefix units)
  list(LENGTH ARGN count)
  set(at 0)
  foreach(source IN LISTS ARGN)
    math(EXPR unit "${at} * ${units} / ${count}")
    set_property(SOURCE ${source} PROPERTY UNITY_GROUP "${prefix}_${unit}")
    math(EXPR at "${at} + 1")
  endforeach()
endfunction()

# simvisor_units(TARGET [SMALL_TOGETHER] SOURCE...)
#
# Compiles the sources of one folder together, up to 12 at a time, unless
# SIMVISOR_UNITY is off.  With SMALL_TOGETHER, folders of up to 6 sources share
# units.  So names in anonymous namespaces must be unique in a folder, and in
# the small folders of a library.
function(simvisor_units target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SMALL_TOGETHER" "" "")
  foreach(source IN LISTS arg_UNPARSED_ARGUMENTS)
    cmake_path(ABSOLUTE_PATH source NORMALIZE OUTPUT_VARIABLE folder)
    cmake_path(GET folder PARENT_PATH folder)
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
    string(REPLACE "/" "_" folder ${folder})
    list(APPEND folders ${folder})
    list(APPEND folder_${folder} ${source})
  endforeach()
  list(REMOVE_DUPLICATES folders)
  set(small)
  foreach(folder IN LISTS folders)
    list(LENGTH folder_${folder} count)
    if(arg_SMALL_TOGETHER AND count LESS_EQUAL 6)
      list(APPEND small ${folder_${folder}})
    else()
      math(EXPR units "(${count} + 11) / 12")
      simvisor_unit(${folder} ${units} ${folder_${folder}})
    endif()
  endforeach()
  if(small)
    list(LENGTH small count)
    math(EXPR units "(${count} + 11) / 12")
    simvisor_unit(small ${units} ${small})
  endif()
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD ${SIMVISOR_UNITY} UNITY_BUILD_MODE GROUP)
endfunction()

# simvisor_library(NAME name SRCS file... [HDRS file...] [DEPS target...]
#                  [PRECOMPILED header...])
#
# Adds the static library simvisor_<name> with the alias simvisor::<name>.
# Headers are included from the project's root.
function(simvisor_library)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SRCS;HDRS;DEPS;PRECOMPILED")
  set(target simvisor_${arg_NAME})
  add_library(${target} STATIC ${arg_SRCS} ${arg_HDRS})
  add_library(simvisor::${arg_NAME} ALIAS ${target})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PUBLIC ${arg_DEPS} PRIVATE simvisor_warnings)
  simvisor_units(${target} SMALL_TOGETHER ${arg_SRCS})
  if(arg_PRECOMPILED)
    simvisor_precompiled(${target} ${arg_PRECOMPILED})
  endif()
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
  simvisor_units(${arg_NAME} ${arg_SRCS})
endfunction()

# simvisor_test_headers(NAME name OPTIMISE option DEPS target... HEADERS
#                       header...)
#
# Adds the target <name>, whose precompiled headers the test programs of
# simvisor_test(HEADERS name) share, and its option for optimisation too.
function(simvisor_test_headers)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;OPTIMISE" "DEPS;HEADERS")
  add_library(${arg_NAME} OBJECT ${PROJECT_SOURCE_DIR}/tests/support/headers.cc)
  target_include_directories(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_DEPS} simvisor_test_options)
  target_compile_options(${arg_NAME} PRIVATE ${arg_OPTIMISE})
  simvisor_precompiled(${arg_NAME} ${arg_HEADERS})
endfunction()

# simvisor_shards(NAME COUNT PROPERTY value...)
#
# Adds COUNT ctest entries, which together run all tests of the program.  The
# tests of an entry share a process, so each must leave it as it was.
function(simvisor_shards name count)
  math(EXPR last "${count} - 1")
  foreach(shard RANGE ${last})
    add_test(NAME ${name}/${shard} COMMAND ${name}
             WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name}/${shard} PROPERTIES ${ARGN}
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${count};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()

# simvisor_test(NAME name LABEL label SRCS file... DEPS target... HEADERS name
#               [TIMEOUT seconds] [COST cost])
#
# Adds a GoogleTest program, and a ctest entry for each of its tests with the
# test's name, which runs from the project's root.  Under sanitizers, where
# programs are slow to start, an entry runs an eighth of the tests.  Building
# <label>_tests builds all programs with the label.  An entry has 300 s (900 s
# under sanitizers) unless the timeout is given.  Entries of higher cost begin
# first.
function(simvisor_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT;HEADERS;LABEL;COST"
                        "SRCS;DEPS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
    if(SIMVISOR_SANITIZE)
      set(arg_TIMEOUT 900)
    endif()
  endif()
  if(NOT arg_COST)
    set(arg_COST 0)
  endif()
  add_executable(${arg_NAME} ${arg_SRCS})
  target_include_directories(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${arg_NAME} PRIVATE
    ${arg_DEPS} simvisor_test_options $<TARGET_NAME_IF_EXISTS:simvisor_tsan>)
  simvisor_units(${arg_NAME} ${arg_SRCS})
  target_precompile_headers(${arg_NAME} REUSE_FROM ${arg_HEADERS})
  # Precompiled headers can only be used with the options they were made with.
  get_target_property(options ${arg_HEADERS} COMPILE_OPTIONS)
  target_compile_options(${arg_NAME} PRIVATE ${options})
  if(SIMVISOR_SANITIZE)
    simvisor_shards(${arg_NAME} 8 TIMEOUT ${arg_TIMEOUT} LABELS ${arg_LABEL}
                    COST ${arg_COST})
  else()
    gtest_discover_tests(${arg_NAME}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      # Not at build time: a build does not start what it has built.
      DISCOVERY_MODE PRE_TEST
      DISCOVERY_TIMEOUT 60
      PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS ${arg_LABEL} COST ${arg_COST})
  endif()
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
