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
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${PACELINE_WERROR}>>:-Werror>)

# paceline_library(<folder> [DEPS targets...] [SOURCES globs...]): the static library paceline_<folder> of
# this folder's *.cpp files (or of SOURCES), included as "folder/header.hpp".
function(paceline_library folder)
  cmake_parse_arguments(ARG "" "" "DEPS;SOURCES" ${ARGN})
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES "*.cpp")
  endif()
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_SOURCES})
  if(sources)
    add_library(paceline_${folder} STATIC ${sources})
    target_include_directories(paceline_${folder} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(paceline_${folder} PUBLIC ${ARG_DEPS} PRIVATE paceline_warnings)
  else()
    add_library(paceline_${folder} INTERFACE)
    target_include_directories(paceline_${folder} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(paceline_${folder} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# paceline_tests(<folder> [LABEL fast|slow|gpu] [DEPS targets...] [SOURCES globs...]): every TEST is one
# CTest entry and so runs in a process of its own (SimGrid's Engine is a singleton).
function(paceline_tests folder)
  cmake_parse_arguments(ARG "" "LABEL" "DEPS;SOURCES" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL fast)
  endif()
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES "*_test.cpp")
  endif()
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_SOURCES})
  if(sources)
    add_executable(${folder}_tests ${sources})
    target_link_libraries(${folder}_tests PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main paceline_warnings)
    target_compile_definitions(${folder}_tests PRIVATE PACELINE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    gtest_discover_tests(${folder}_tests TEST_PREFIX "${folder}." DISCOVERY_TIMEOUT 60
                         PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 600)
  endif()
endfunction()
