#pragma once

#include <string>
#include <vector>

// What our charts are drawn of.
namespace paceline::svg {

// Okabe and Ito's colours, which the colour-blind tell apart, black last; dashes when they repeat.
inline const std::vector<std::string> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                               "#e69f00", "#56b4e9", "#000000"};
inline const std::vector<std::string> kDashes{"", "7 4", "2 3"};

/// Without what XML takes for its own, nor control characters.
std::string escaped(const std::string& text);

/// A text element; `more`: further attributes, after a blank.
std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& more = "");

/// Round values that cover what is drawn: 1, 2 or 5 times a power of ten apart, or, logarithmic,
/// the powers of ten and their double and quintuple.
class Axis {
 public:
  Axis(double least, double most, int ticks, bool logarithmic = false);
  /// Of the axis: 0 at its begin, 1 at its end.
  [[nodiscard]] double share(double value) const;
  [[nodiscard]] std::vector<double> ticks() const;
  [[nodiscard]] std::string label(double value) const;

 private:
  bool log_;
  double step_ = 1, least_ = 0, most_ = 1;  // logarithms of them, if logarithmic
};

}  // namespace paceline::svg
