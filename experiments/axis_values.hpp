#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace paceline {

/// Values of one axis at most; a study has as many points at most.
inline constexpr double kMostPoints = 1'000'000;

/// `text` at every `separator` that is not inside brackets or quotes.
std::vector<std::string> split_outside_brackets(const std::string& text, char separator);

/// "1Gbps..400Gbps:log9": numbers with one unit between two ends, both counted.
struct ValueRange {
  enum class Steps : std::uint8_t { step, factor, linear, logarithmic };
  double first = 0, last = 0;
  std::string unit;  ///< as written behind both numbers
  Steps steps = Steps::step;
  double by = 1;        ///< step or factor; number of values if linear or logarithmic, 0: not said
  bool stated = false;  ///< how it steps was said
  bool whole = false;   ///< both ends are whole numbers

  /// Absent if the text is no range: "a,b", "../mine.json". Throws InputError, which begins with
  /// `where`, for a range that is wrong or empty.
  static std::optional<ValueRange> from_text(const std::string& text, const std::string& where);

  [[nodiscard]] double count() const;
  [[nodiscard]] std::vector<std::string> values() const;
  /// So many steps from end to end, what rounds to the same value once.
  [[nodiscard]] std::vector<std::string> values_in(std::size_t steps) const;
  /// The value at a share of the way, 0 to 1, four digits; whole if the ends are.
  [[nodiscard]] std::string at(double share) const;
  [[nodiscard]] bool contains(double number) const { return number >= first && number <= last; }
};

/// "8,16,32..64:8" as its values, each as text: a list whose items may be ranges. `a..b` steps by
/// 1, `a..b:4` by 4, `a..b:x2` times 2, `a..b:lin9` and `a..b:log9` are nine values evenly apart.
/// Throws InputError for an empty value, a wrong or empty range, and more values than kMostPoints,
/// with their number. A range that does not say how many values it has gets `fine` steps, if
/// that is not 0, else it is one of the wrong.
std::vector<std::string> values_of_text(const std::string& text, const std::string& where,
                                        std::size_t fine = 0);

/// What a label says as a number in SI base units: "10Gbps", "50us", "64". Absent for a name.
std::optional<double> number_of_label(const std::string& label);

}  // namespace paceline
