# cmake -DFOLDER=<folder of *.json> -DOUTPUT=<file.cpp> -P embed.cmake
# Writes the text of each file into the table that shipped.hpp declares.
file(GLOB files "${FOLDER}/*.json")
set(rows "")
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${file}" text)
  string(APPEND rows "      {\"${name}\", R\"paceline(${text})paceline\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"experiments/shipped.hpp\"

namespace paceline {

const std::map<std::string, std::string_view>& shipped_experiments() {
  static const std::map<std::string, std::string_view> texts{
${rows}  };
  return texts;
}

}  // namespace paceline
")
