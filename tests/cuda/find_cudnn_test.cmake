# FindCUDNN finds the layout of a pip wheel: nvidia/cudnn/{include,lib} with libcudnn.so.9 and no libcudnn.so.
#   cmake -DSOURCE=repository -DFOLDER=scratch -P find_cudnn_test.cmake
cmake_minimum_required(VERSION 3.25)
set(wheel ${FOLDER}/site-packages/nvidia/cudnn)
file(REMOVE_RECURSE ${FOLDER})
file(WRITE ${wheel}/lib/libcudnn.so.9 "")
file(WRITE ${wheel}/include/cudnn_version.h
     "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 19\n#define CUDNN_PATCHLEVEL 1\n")
# A script has no targets, nor a platform that says what libraries are called.
function(add_library)
endfunction()
function(set_target_properties)
endfunction()
set(CMAKE_FIND_LIBRARY_PREFIXES lib)
set(CMAKE_FIND_LIBRARY_SUFFIXES .so .a)

foreach(root IN ITEMS ${wheel} ${FOLDER}/site-packages)
  foreach(variable CUDNN_INCLUDE_DIR CUDNN_LIBRARY CUDNN_FOUND)
    unset(${variable})
    unset(${variable} CACHE)
  endforeach()
  set(CUDNN_ROOT ${root})
  include(${SOURCE}/cmake/FindCUDNN.cmake)
  if(NOT CUDNN_FOUND OR NOT CUDNN_VERSION STREQUAL "9.19.1" OR NOT CUDNN_LIBRARY STREQUAL "${wheel}/lib/libcudnn.so.9"
     OR NOT CUDNN_INCLUDE_DIR STREQUAL "${wheel}/include")
    message(FATAL_ERROR "with CUDNN_ROOT ${root}: found '${CUDNN_FOUND}', version '${CUDNN_VERSION}', "
                        "library '${CUDNN_LIBRARY}', headers '${CUDNN_INCLUDE_DIR}'")
  endif()
endforeach()
