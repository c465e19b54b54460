# Language, warnings, sanitizers and tools that hold for every target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Kind of build" FORCE)
endif()

# Builds work without ccache; repeated ones are faster with it.
find_program(SIMVISOR_CCACHE ccache)
if(SIMVISOR_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SIMVISOR_CCACHE})
endif()

# Compiling sources together takes a third of the time.  OFF compiles each by
# itself, which is faster after a change to a single file.
option(SIMVISOR_UNITY "Compile the sources of a folder together" ON)

set(SIMVISOR_SANITIZE "" CACHE STRING
    "Sanitizers for -fsanitize=, such as 'address,undefined'; empty for none")
if(SIMVISOR_SANITIZE)
  add_compile_options(-fsanitize=${SIMVISOR_SANITIZE}
                      -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SIMVISOR_SANITIZE})
endif()

# Warnings for our own code; generated code does not link it.
add_library(simvisor_warnings INTERFACE)
target_compile_options(simvisor_warnings INTERFACE
  -Wall -Wextra -Wshadow -Werror
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # g++ 12 sees overflows in the copies of short strings that std::string makes
  # (GCC bug 105329).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds -Wno-restrict
    -Wno-stringop-overflow -Wno-stringop-overread>)
