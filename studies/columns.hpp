#pragma once

#include <string>
#include <vector>

namespace paceline {

/// Which of the columns somebody means by `name`: its whole name, what people call it ("efficiency", "cost"), or, of
/// an axis, what only that one holds ("nodes" is "nodes[0].count"). Throws InputError "<where> unknown column ...".
std::size_t column_index(const std::vector<std::string>& columns,
                         const std::vector<std::string>& axes, const std::string& name,
                         const std::string& where);

}  // namespace paceline
