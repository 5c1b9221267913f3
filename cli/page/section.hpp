#pragma once

#include <string>
#include <utility>
#include <vector>

namespace paceline {

/// A part of a report, in whatever form it is printed.
struct Section {
  struct Figure {
    std::string title;  ///< may be empty
    std::string svg;    ///< as of chart.hpp
    std::string caption{};
    bool wide = false;  ///< twice as wide as others
  };
  struct Table {
    std::vector<std::pair<std::string, bool>>
        columns;                                   ///< and whether they are numbers; none: a list
    std::vector<std::vector<std::string>> rows{};  ///< lines of a cell end in '\n'
    std::string fold{};  ///< what stands in its place until it is opened; empty: it is open
    std::string more{};  ///< below it
  };
  std::string name;  ///< of its figures, as `--figure` has it
  std::string heading{}, note{};
  std::vector<std::pair<std::size_t, std::string>> legend{};  ///< colours, s0 to s7
  std::vector<Figure> figures{};
  Table table{};
  std::string listing_title{}, listing{};  ///< text as it stands
};

std::string html_of(const Section& section);
/// Its figures, if it has any, stand in the file `drawing`.
std::string markdown_of(const Section& section, const std::string& drawing);
/// Its figures as one SVG document with heading, legend and captions, on white.
std::string drawing_of(const Section& section);

}  // namespace paceline
