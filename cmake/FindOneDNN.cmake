# oneDNN (libdnnl) as OneDNN::OneDNN. Debian's own dnnl-config.cmake cannot be used: it insists on the OpenCL
# development files, which only its unused GPU side needs.
find_path(ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(ONEDNN_LIBRARY dnnl)
if(ONEDNN_INCLUDE_DIR)
  file(STRINGS "${ONEDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h" defines
       REGEX "#define DNNL_VERSION_(MAJOR|MINOR|PATCH) ")
  set(ONEDNN_VERSION "")
  foreach(part MAJOR MINOR PATCH)
    if("${defines}" MATCHES "DNNL_VERSION_${part} +([0-9]+)")
      list(APPEND ONEDNN_VERSION ${CMAKE_MATCH_1})
    endif()
  endforeach()
  list(JOIN ONEDNN_VERSION "." ONEDNN_VERSION)
endif()
# Its threads are OpenMP's; we ask for one per calling thread (omp_set_num_threads).
find_package(OpenMP QUIET COMPONENTS CXX)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN REQUIRED_VARS ONEDNN_LIBRARY ONEDNN_INCLUDE_DIR OpenMP_CXX_FOUND
                                  VERSION_VAR ONEDNN_VERSION HANDLE_VERSION_RANGE)
if(OneDNN_FOUND AND NOT TARGET OneDNN::OneDNN)
  add_library(OneDNN::OneDNN UNKNOWN IMPORTED)
  set_target_properties(OneDNN::OneDNN PROPERTIES IMPORTED_LOCATION "${ONEDNN_LIBRARY}"
                        INTERFACE_INCLUDE_DIRECTORIES "${ONEDNN_INCLUDE_DIR}"
                        INTERFACE_LINK_LIBRARIES OpenMP::OpenMP_CXX)
endif()
mark_as_advanced(ONEDNN_INCLUDE_DIR ONEDNN_LIBRARY)
