# paceline_collect(<target> HEADER <header> TYPE <type> FUNCTION <name> FILES <globs>...): the constants of <type> that these files
# of ours define (`extern const <type> kName{...}` at namespace paceline), as what
# `const std::vector<const <type>*>& <name>()` of <header> returns, in the order of <type>::place. So whoever adds one writes
# its file and names it nowhere.
function(paceline_collect target)
  cmake_parse_arguments(ARG "" "HEADER;TYPE;FUNCTION" "FILES" ${ARGN})
  list(TRANSFORM ARG_FILES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  file(GLOB paths CONFIGURE_DEPENDS ${ARG_FILES})
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${ARG_FUNCTION}.cpp")
  set(script "${CMAKE_SOURCE_DIR}/cmake/collect.cmake")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} "-DOUTPUT=${output}" "-DHEADER=${ARG_HEADER}" "-DTYPE=${ARG_TYPE}"
            "-DFUNCTION=${ARG_FUNCTION}" "-DFILES=${paths}" -P "${script}"
    DEPENDS ${paths} "${script}"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
  set_source_files_properties("${output}" PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
