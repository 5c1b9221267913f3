#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// What stdout can show.
struct Terminal {
  bool unicode = false;  ///< a terminal whose locale is UTF-8
  int width = 0;         ///< columns; 0: not a terminal
};
const Terminal& terminal();

/// Columns on a terminal that UTF-8 text takes.
std::size_t display_width(std::string_view text);

/// Rows of cells under a header, aligned; numbers are best given right-aligned.
class Table {
 public:
  enum class Align { left, right };
  void column(std::string header, Align align = Align::left);
  void row(std::vector<std::string> cells);
  /// An empty line in the table; not in CSV.
  void gap();
  /// Each line indented by `indent` blanks, and at most `most` columns wide (0: as wide as it
  /// gets): wide columns are wrapped, never the first; where that does not do, a record a row.
  [[nodiscard]] std::string text(std::size_t indent = 0, std::size_t most = 0) const;

 private:
  [[nodiscard]] std::string records(std::size_t indent, std::size_t most) const;
  struct Column {
    std::string header;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// A share of `cells` columns: blocks on a UTF-8 terminal, '#' elsewhere.
std::string bar(double share, std::size_t cells);

/// Shares one after the other in `cells` columns, each with its own character; see bar_legend.
std::string stacked_bar(const std::vector<double>& shares, std::size_t cells);
/// The character of the i-th share of a stacked bar.
std::string bar_symbol(std::size_t i);

/// A line on stderr that is overwritten by the next one; nothing unless stderr is a terminal.
/// One line on a terminal, written over; where `--progress` asks for it elsewhere, a line now and
/// then.
void show_progress(const std::string& text);
[[nodiscard]] bool progress_wanted();
void ask_for_progress();  ///< --progress
void end_progress();

/// So many decimals, and of what is too small for them two digits that say something.
std::string significant(double value, int decimals);

}  // namespace paceline
