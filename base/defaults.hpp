#pragma once

#include <vector>

namespace paceline {

/// A constant that nobody gives and that moves results, where it is used: a rule of thumb, a law's
/// uncertainty, a usual setting. `paceline list defaults` prints all of them, and tests/lint keeps
/// others from hiding. Lives as long as the program.
class Default {
 public:
  /// `name` and `meaning` (with the source) are literals; `unit` is "" for a plain number.
  Default(const char* name, double value, const char* unit, const char* meaning) noexcept
      : name_(name), unit_(unit), meaning_(meaning), value_(value), next_(first_) {
    first_ = this;
  }
  Default(const Default&) = delete;
  Default& operator=(const Default&) = delete;

  /// It is its value. Beside an int in `a ? b : c` write double{kThis}: it would be rounded.
  operator double() const noexcept { return value_; }  // NOLINT: implicit
  [[nodiscard]] const char* name() const { return name_; }
  [[nodiscard]] const char* unit() const { return unit_; }
  [[nodiscard]] const char* meaning() const { return meaning_; }

  static std::vector<const Default*> all();  ///< of the program, by name

 private:
  const char *name_, *unit_, *meaning_;
  double value_;
  const Default* next_;
  static const Default* first_;
};

}  // namespace paceline
