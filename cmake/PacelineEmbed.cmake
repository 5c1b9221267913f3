# paceline_embed(<target> HEADER <header> FUNCTION <name> FOLDER <folder> FILES <globs>... [STEMS]): the texts of
# these files of a folder of ours become part of the target, so an installed binary finds them wherever it is
# moved. <header> declares `const std::map<std::string, std::string_view>& <name>()`: path below the folder, or
# with STEMS the file's name without extension, -> text.
function(paceline_embed target)
  cmake_parse_arguments(ARG "STEMS" "HEADER;FUNCTION;FOLDER" "FILES" ${ARGN})
  set(folder "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FOLDER}")
  list(TRANSFORM ARG_FILES PREPEND "${folder}/")
  file(GLOB paths CONFIGURE_DEPENDS ${ARG_FILES})
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${ARG_FUNCTION}.cpp")
  set(script "${CMAKE_SOURCE_DIR}/cmake/embed.cmake")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} "-DOUTPUT=${output}" "-DHEADER=${ARG_HEADER}" "-DFUNCTION=${ARG_FUNCTION}"
            "-DFOLDER=${folder}" "-DFILES=${paths}" "-DSTEMS=${ARG_STEMS}" -P "${script}"
    DEPENDS ${paths} "${script}"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
