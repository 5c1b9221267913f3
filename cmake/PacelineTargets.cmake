# How every folder of ours becomes a target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

add_library(paceline_warnings INTERFACE)
target_compile_options(paceline_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor>
  # g++ 12 sees overlaps in std::string's own operator+ (GCC bug 105651).
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-unknown-warning-option>  # pragmas that name g++'s warnings
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${PACELINE_WERROR}>>:-Werror>)

# clang 14 compiles C++20 coroutines but does not say so, and libstdc++'s <coroutine> asks.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 17)
  add_compile_definitions(__cpp_impl_coroutine=201902L)
  add_compile_options(-fno-sanitize=function)  # it cannot compile coroutines with that part of UBSan
endif()

# paceline_cold(<target>): what reads, prints and checks is compiled without the optimisations of a Release build that cost a
# third of the time and win nothing there. Simulation, schedules, models and kernels keep them.
function(paceline_cold target)
  target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-O1>
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-array-bounds>)  # g++ 12 -O1 sees copies of 200 kB into std::string's 16 bytes
endfunction()

# paceline_together(<target> sources...): with PACELINE_UNITY, compiles the files of a folder together, eight at
# most: headers are most of what a file costs. Files that are alone in their folders go together too.
function(paceline_together target)
  if(NOT PACELINE_UNITY)
    return()
  endif()
  foreach(source IN LISTS ARGN)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE path)
    cmake_path(GET path PARENT_PATH folder)
    string(MAKE_C_IDENTIFIER "in_${folder}" folder)
    list(APPEND folders ${folder})
    list(APPEND ${folder} ${source})
  endforeach()
  list(REMOVE_DUPLICATES folders)
  foreach(folder IN LISTS folders)
    list(LENGTH ${folder} count)
    if(count EQUAL 1)
      list(APPEND alone ${${folder}})
      set(${folder} "")
    endif()
  endforeach()
  foreach(group IN LISTS folders ITEMS alone)
    set(number 0)
    foreach(source IN LISTS ${group})
      math(EXPR batch "${number} / 8")
      math(EXPR number "${number} + 1")
      set_source_files_properties(${source} PROPERTIES UNITY_GROUP "${group}_${batch}")
    endforeach()
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # A class of a header's may have members of private types: its file is then no longer the one compiled.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
endfunction()

# paceline_share_headers(<target> [headers...]): with PACELINE_UNITY, headers that cost more than the code of ours that includes
# them are compiled once: these, or by default what cold libraries include, once for all of them. Only with g++: what reads
# clang's compilation database would miss them.
function(paceline_share_headers target)
  if(NOT PACELINE_UNITY OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  set(headers <nlohmann/json.hpp> <fmt/format.h> <fmt/ranges.h> <algorithm> <filesystem> <fstream> <functional> <map> <memory>
      <optional> <regex> <set> <sstream> <string> <variant> <vector>)
  target_compile_options(${target} PRIVATE -fpch-preprocess)  # for ccache
  if(ARGN)
    target_precompile_headers(${target} PRIVATE ${ARGN} ${headers})
    return()
  endif()
  if(NOT TARGET cold_headers)
    file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/cold_headers.cpp CONTENT "\n")
    add_library(cold_headers OBJECT ${CMAKE_BINARY_DIR}/cold_headers.cpp)
    target_link_libraries(cold_headers PRIVATE nlohmann_json::nlohmann_json fmt::fmt paceline_warnings)
    target_compile_options(cold_headers PRIVATE -Wno-subobject-linkage -fpch-preprocess)
    paceline_cold(cold_headers)
    target_precompile_headers(cold_headers PRIVATE ${headers})
  endif()
  target_precompile_headers(${target} REUSE_FROM cold_headers)
endfunction()

# paceline_library(<folder> [COLD] [DEPS targets...] [SOURCES globs...] [APART files...]): the static library
# paceline_<folder> of this folder's *.cpp files (or of SOURCES), included as "folder/header.hpp". APART: files
# whose private names stand in others of their folder too; with PACELINE_UNITY they are compiled by themselves.
function(paceline_library folder)
  cmake_parse_arguments(ARG "COLD" "" "DEPS;SOURCES;APART" ${ARGN})
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES "*.cpp")
  endif()
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_SOURCES})
  if(sources)
    add_library(paceline_${folder} STATIC ${sources})
    set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    paceline_together(paceline_${folder} ${sources})
    if(ARG_COLD)
      paceline_cold(paceline_${folder})
      paceline_share_headers(paceline_${folder})
    endif()
    # What libFuzzer is to see of a reader. clang 14 cannot compile coroutines so, and kernels read nothing.
    if(PACELINE_FUZZ AND NOT folder MATCHES "^(kernels|algorithms)$")
      target_compile_options(paceline_${folder} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    target_include_directories(paceline_${folder} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(paceline_${folder} PUBLIC ${ARG_DEPS} PRIVATE paceline_warnings)
  else()
    add_library(paceline_${folder} INTERFACE)
    target_include_directories(paceline_${folder} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(paceline_${folder} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# paceline_abi(<variable> <headers>...): a digest of the headers that a module and the programs share. The loader
# (base/module.hpp) refuses a module with another one.
function(paceline_abi variable)
  file(GLOB_RECURSE interface CONFIGURE_DEPENDS ${ARGN})
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${interface})
  set(digests "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  foreach(header IN LISTS interface)
    file(SHA256 ${header} digest)
    string(APPEND digests "${digest}")
  endforeach()
  string(SHA256 digest "${digests}")
  string(SUBSTRING ${digest} 0 16 digest)
  set(${variable} ${digest} PARENT_SCOPE)
endfunction()

# paceline_module(<name> ABI digest SOURCES files... DEPS targets...): libpaceline_<name>.so, opened when
# first needed (base/module.hpp). Programs and tests depend on paceline_modules.
add_custom_target(paceline_modules)
function(paceline_module name)
  cmake_parse_arguments(ARG "" "ABI" "SOURCES;DEPS" ${ARGN})
  add_library(paceline_${name} MODULE ${ARG_SOURCES})
  target_include_directories(paceline_${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(paceline_${name} PRIVATE ${ARG_DEPS} paceline_warnings)
  target_compile_definitions(paceline_${name} PRIVATE PACELINE_ABI="${ARG_ABI}")
  set_target_properties(paceline_${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  # It has copies of what it uses of our static libraries: hidden symbols keep them apart from the program's.
  target_link_options(paceline_${name} PRIVATE -Wl,--exclude-libs,ALL)
  add_dependencies(paceline_modules paceline_${name})
  install(TARGETS paceline_${name} LIBRARY DESTINATION lib/paceline)
endfunction()

# Builds the tests that use threads: what ThreadSanitizer runs.
add_custom_target(threads_tests)

# paceline_precompile(<tests>): most of what a test costs to compile is the same headers; they are compiled once for all.
function(paceline_precompile target)
  if(NOT TARGET test_headers)
    file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/test_headers.cpp CONTENT "int main() {}\n")
    add_executable(test_headers EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/test_headers.cpp)
    target_link_libraries(test_headers PRIVATE paceline_base GTest::gmock GTest::gtest_main paceline_warnings)
    paceline_cold(test_headers)
    target_precompile_headers(test_headers PRIVATE
      <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp> <algorithm> <cmath> <filesystem> <fstream> <functional> <map> <memory>
      <optional> <random> <set> <sstream> <string> <variant> <vector>)
  endif()
  target_precompile_headers(${target} REUSE_FROM test_headers)
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)  # for ccache
endfunction()

# paceline_tests(<name> [HOT] [LABEL fast|slow|threads|gpu] [DEPS targets...] [SOURCES globs...]): <name>_tests from
# this folder's *_test.cpp files (or SOURCES). HOT: what it computes itself takes the time. Every TEST is one CTest entry and so runs in a process of its own
# (SimGrid's Engine is a singleton). slow: more than 5 s. threads: runs under ThreadSanitizer too.
function(paceline_tests name)
  cmake_parse_arguments(ARG "HOT" "LABEL" "DEPS;SOURCES" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL fast)
  endif()
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES "*_test.cpp")
  endif()
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_SOURCES})
  if(sources)
    add_executable(${name}_tests ${sources})
    if(NOT ARG_HOT)
      paceline_cold(${name}_tests)
      paceline_precompile(${name}_tests)
    endif()
    target_link_libraries(${name}_tests PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main paceline_warnings)
    # Only files that name it depend on where the checkout lies: ccache serves another checkout with the others.
    foreach(source IN LISTS sources)
      file(STRINGS ${source} uses REGEX "PACELINE_SOURCE_DIR|studies.hpp" LIMIT_COUNT 1)
      if(uses)
        set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS PACELINE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
      endif()
    endforeach()
    add_dependencies(${name}_tests paceline_modules)
    gtest_discover_tests(${name}_tests TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60
                         PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 600)
    if(ARG_LABEL STREQUAL "threads")
      add_dependencies(threads_tests ${name}_tests)
    endif()
  endif()
endfunction()
