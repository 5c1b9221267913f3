# cmake -DFILES=<a;b> -DFOLDER=<folder of these> -DOUTPUT=<file.cpp> -P embed.cmake
# Writes the text of each file into the table that shipped_files.hpp declares.
set(rows "")
foreach(file IN LISTS FILES)
  file(READ "${FOLDER}/${file}" text)
  string(APPEND rows "    {\"${file}\", R\"paceline(${text})paceline\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"platforms/shipped_files.hpp\"

namespace paceline {

std::span<const ShippedFile> shipped_files() {
  static constexpr ShippedFile files[] = {
${rows}  };
  return files;
}

}  // namespace paceline
")
