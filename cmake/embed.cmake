# What paceline_embed runs: writes the texts of FILES, one raw string each, into the function of HEADER.
set(rows "")
foreach(file IN LISTS FILES)
  if(STEMS)
    cmake_path(GET file STEM name)
  else()
    cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${FOLDER}" OUTPUT_VARIABLE name)
  endif()
  file(READ "${file}" text)
  string(APPEND rows "      {\"${name}\", R\"paceline(${text})paceline\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"

namespace paceline {

const std::map<std::string, std::string_view>& ${FUNCTION}() {
  static const std::map<std::string, std::string_view> texts{
${rows}  };
  return texts;
}

}  // namespace paceline
")
