# cmake -DSOURCE=... -DPROJECT_VERSION=... -DINTO=version.cpp -P version.cmake: writes INTO from base/version.cpp.in,
# if that changes it. An archive, inside another project's git or not, has the project's version only.
set(PACELINE_VERSION "${PROJECT_VERSION}")
if(EXISTS "${SOURCE}/.git")
  execute_process(COMMAND git --no-optional-locks describe --tags --always --dirty WORKING_DIRECTORY "${SOURCE}"
                  OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed EQUAL 0 AND described)
    string(APPEND PACELINE_VERSION "-${described}")
  endif()
endif()
configure_file("${SOURCE}/base/version.cpp.in" "${INTO}" @ONLY)
