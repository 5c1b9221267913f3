#include "experiments/axis_values.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

struct Number {
  double value = 0;
  std::string unit;
};

// "1.5Gbps" as 1.5 and "Gbps"; absent if it does not begin with a number or goes on with more.
std::optional<Number> number_with_unit(std::string_view text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (error != std::errc{} || !std::isfinite(number.value)) return std::nullopt;
  number.unit = std::string(end, text.data() + text.size());
  if (number.unit.find_first_of("0123456789.,:=") != std::string::npos) return std::nullopt;
  return number;
}

bool is_whole(double value) {
  return std::abs(value) < 1e15 && value == std::floor(value);
}

std::string with_digits(double value, const std::string& unit, int digits) {
  return fmt::format("{}{}", std::stod(fmt::format("{:.{}g}", value, digits)), unit);
}

// Of values between the ends of a range.
constexpr int kDigits = 6, kSampledDigits = 4, kFineDigits = 5;

void read_steps(const std::string& text, ValueRange& range, const std::string& where) {
  using enum ValueRange::Steps;
  const auto wrong = [&](const char* why) {
    return InputError(
        fmt::format("{}: '{}' {}: expected A..B:STEP, A..B:xFACTOR, A..B:linCOUNT or A..B:logCOUNT",
                    where, text, why));
  };
  std::string_view rest = text;
  range.steps = rest.starts_with("lin")   ? linear
                : rest.starts_with("log") ? logarithmic
                : rest.starts_with('x')   ? factor
                                          : step;
  rest.remove_prefix(range.steps == step ? 0 : range.steps == factor ? 1 : 3);
  const bool counted = range.steps == linear || range.steps == logarithmic;
  range.by = 0;
  range.stated = true;
  if (counted && rest.empty()) return;  // for a sample, which has a number of its own
  const std::optional<Number> by = number_with_unit(rest);
  if (!by || !(by->unit.empty() || (range.steps == step && by->unit == range.unit)))
    throw wrong("is no step");
  range.by = by->value;
  if (range.steps == step && range.by <= 0) throw wrong("does not lead up");
  if (range.steps == factor && range.by <= 1) throw wrong("does not lead up");
  if (counted && (!is_whole(range.by) || range.by < 2))
    throw wrong("is no number of values, 2 or more");
}

}  // namespace

std::vector<std::string> split_outside_brackets(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  int depth = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == '{' || c == '[')) ++depth;
    if (!quoted && (c == '}' || c == ']')) --depth;
    if (c == separator && depth == 0 && !quoted)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::optional<ValueRange> ValueRange::from_text(const std::string& text, const std::string& where) {
  const auto dots = text.find("..");
  if (dots == std::string::npos || dots == 0) return std::nullopt;
  const auto colon = text.find(':', dots);
  const std::optional<Number> first = number_with_unit(text.substr(0, dots)),
                              last = number_with_unit(text.substr(dots + 2, colon - dots - 2));
  if (!first || !last) return std::nullopt;
  const std::string ends = text.substr(0, colon);
  if (first->unit != last->unit)
    throw InputError(fmt::format("{}: '{}' has two units: write both ends in one", where, ends));
  ValueRange range;
  range.first = first->value;
  range.last = last->value;
  range.unit = first->unit;
  range.whole = is_whole(range.first) && is_whole(range.last);
  if (range.last < range.first)
    throw InputError(fmt::format("{}: '{}' is an empty range, 0 values", where, ends));
  if (colon != std::string::npos) read_steps(text.substr(colon + 1), range, where);
  const bool multiplies = range.steps == Steps::factor || range.steps == Steps::logarithmic;
  if (multiplies && range.first <= 0)
    throw InputError(fmt::format("{}: '{}' begins at {:g}, which no factor leads away from", where,
                                 text, range.first));
  return range;
}

double ValueRange::count() const {
  const double slack = 1e-9;  // 0.1..0.3 by 0.1 has three values
  if (steps == Steps::step) return std::floor((last - first) / by + slack) + 1;
  if (steps == Steps::factor) return std::floor(std::log(last / first) / std::log(by) + slack) + 1;
  return by;
}

std::vector<std::string> ValueRange::values() const {
  std::vector<std::string> result;
  const auto all = static_cast<std::size_t>(count());
  for (std::size_t i = 0; i < all; ++i) {
    const auto n = static_cast<double>(i);
    double value = first;
    if (steps == Steps::step) value = first + n * by;
    if (steps == Steps::factor) value = first * std::pow(by, n);
    if (steps == Steps::linear) value = first + (last - first) * n / (by - 1);
    if (steps == Steps::logarithmic) value = first * std::pow(last / first, n / (by - 1));
    result.push_back(with_digits(value, unit,
                                 steps == Steps::logarithmic ? kSampledDigits
                                 : is_whole(value)           ? 15
                                                             : kDigits));
  }
  return result;
}

std::string ValueRange::at(double share) const {
  if (whole && steps != Steps::logarithmic && unit.empty())
    return fmt::format("{}", std::min(std::floor(first + share * (last - first + 1)), last));
  const double value = steps == Steps::logarithmic ? first * std::pow(last / first, share)
                                                   : first + share * (last - first);
  if (whole && unit.empty()) return fmt::format("{}", std::clamp(std::round(value), first, last));
  return with_digits(value, unit, kSampledDigits);
}

std::vector<std::string> ValueRange::values_in(std::size_t all) const {
  std::vector<std::string> result;
  for (std::size_t i = 0; i <= all; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(all);
    const double value = steps == Steps::logarithmic ? first * std::pow(last / first, share)
                                                     : first + share * (last - first);
    std::string text = whole && unit.empty() ? fmt::format("{}", std::round(value))
                                             : with_digits(value, unit, kFineDigits);
    if (result.empty() || result.back() != text) result.push_back(std::move(text));
  }
  return result;
}

std::vector<std::string> values_of_text(const std::string& text, const std::string& where,
                                        std::size_t fine) {
  std::vector<std::string> values;
  for (const std::string& item : split_outside_brackets(text, ',')) {
    if (item.empty()) throw InputError(fmt::format("{}: an empty value", where));
    const std::optional<ValueRange> range = ValueRange::from_text(item, where);
    if (!range) {
      values.push_back(item);
      continue;
    }
    const bool open = range->by == 0 || (!range->stated && !range->whole);
    if (open && fine > 0) {
      for (std::string& value : range->values_in(fine)) values.push_back(std::move(value));
      continue;
    }
    if (!range->stated && !range->whole)
      throw InputError(fmt::format("{}: '{}' does not say how it steps: {}:STEP or {}:logCOUNT",
                                   where, item, item, item));
    if (range->by == 0)
      throw InputError(
          fmt::format("{}: '{}' does not say how many values: {}9", where, item, item));
    if (!(range->count() <= kMostPoints))
      throw InputError(fmt::format("{}: '{}' has {:.10g} values; at most {:.0f} are run", where,
                                   item, range->count(), kMostPoints));
    for (std::string& value : range->values()) values.push_back(std::move(value));
  }
  return values;
}

std::optional<double> number_of_label(const std::string& label) {
  const std::optional<Number> number = number_with_unit(label);
  if (!number) return std::nullopt;
  if (number->unit.empty()) return number->value;
  for (const auto parse :
       {parse_bandwidth, parse_duration, parse_bytes, parse_flops, parse_count}) {
    try {
      return parse(label);
    } catch (const InputError&) {  // another kind of quantity
    }
  }
  return std::nullopt;
}

}  // namespace paceline
