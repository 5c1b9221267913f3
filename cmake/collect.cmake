# What paceline_collect runs.
set(names "")
foreach(file IN LISTS FILES)
  file(STRINGS "${file}" lines REGEX "^extern const ${TYPE} [A-Za-z0-9_]+{")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^extern const ${TYPE} ([A-Za-z0-9_]+){.*" "\\1" name "${line}")
    list(APPEND names ${name})
  endforeach()
endforeach()
list(TRANSFORM names PREPEND "&" OUTPUT_VARIABLE addresses)
list(JOIN names ", " names)
list(JOIN addresses ", " addresses)
set(text "#include <algorithm>
#include <vector>

#include \"${HEADER}\"

namespace paceline {

extern const ${TYPE} ${names};

const std::vector<const ${TYPE}*>& ${FUNCTION}() {
  static const std::vector<const ${TYPE}*> all = [] {
    std::vector<const ${TYPE}*> found{${addresses}};
    std::ranges::stable_sort(found, {}, [](const ${TYPE}* entry) { return entry->place; });
    return found;
  }();
  return all;
}

}  // namespace paceline
")
# Untouched where nothing changed: whoever edits a file need not compile the list again.
set(old "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" old)
endif()
if(NOT old STREQUAL text)
  file(WRITE "${OUTPUT}" "${text}")
endif()
