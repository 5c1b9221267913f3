#pragma once

#include <functional>
#include <string>
#include <vector>

#include "studies/store.hpp"

namespace paceline {

/// What is asked of a store.
struct Question {
  std::string study{};  ///< empty: the only one
  std::vector<std::string>
      where{};  ///< "network.bandwidth=1Gbps,10Gbps;workers=8..64": all must hold
  std::vector<std::string> columns{};  ///< empty: all
  std::string sort{};                  ///< a column; empty: by number
  bool descending = false;
  std::uint64_t limit = 0;  ///< 0: all
  bool over_seeds = false;  ///< rows of "over_seeds" in place of "points" (Store::view_points)
  std::string sql{};        ///< instead of all that: one statement that only reads
};

struct RowSink {
  std::function<void(const std::vector<std::string>&)> header;
  std::function<void(const std::vector<SqlValue>&)> row;
};

/// Hands over the rows one by one. Points that a filter or `error` leaves out are not among them.
/// Throws InputError for an unknown column, naming the nearest, and for SQL that is wrong or writes.
void ask(Store& store, const Question& question, const RowSink& sink);

/// As text: bytes as hex, numbers in the fewest digits that read back as the same.
std::string to_text(const SqlValue& value);

}  // namespace paceline
