# Run at every build: writes OUT if what git says of the sources has changed.
execute_process(COMMAND git describe --tags --always --dirty WORKING_DIRECTORY ${SOURCE}
                OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
set(PACELINE_VERSION "${VERSION}")
if(NOT failed AND described)
  string(APPEND PACELINE_VERSION "-${described}")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/version.cpp.in ${OUT} @ONLY)
