#include "base/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "base/error.hpp"
#include "base/text_file.hpp"

namespace paceline {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr double kKi = 1024.0, kMi = kKi * kKi, kGi = kMi * kKi, kTi = kGi * kKi;

constexpr std::array<Unit, 30> kBandwidth{{
    {"bps", 1 / 8.0},    {"kbps", 1e3 / 8},    {"Mbps", 1e6 / 8},   {"Gbps", 1e9 / 8},
    {"Tbps", 1e12 / 8},  {"b/s", 1 / 8.0},     {"kb/s", 1e3 / 8},   {"Mb/s", 1e6 / 8},
    {"Gb/s", 1e9 / 8},   {"Tb/s", 1e12 / 8},   {"Kibps", kKi / 8},  {"Mibps", kMi / 8},
    {"Gibps", kGi / 8},  {"B/s", 1},           {"kB/s", 1e3},       {"MB/s", 1e6},
    {"GB/s", 1e9},       {"TB/s", 1e12},       {"KiB/s", kKi},      {"MiB/s", kMi},
    {"GiB/s", kGi},      {"TiB/s", kTi},       {"Bps", 1},          {"MBps", 1e6},
    {"GBps", 1e9},       {"GiBps", kGi},       {"kbit/s", 1e3 / 8}, {"Mbit/s", 1e6 / 8},
    {"Gbit/s", 1e9 / 8}, {"Tbit/s", 1e12 / 8},
}};
constexpr std::array<Unit, 7> kDuration{
    {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}}};
constexpr std::array<Unit, 9> kBytes{{{"B", 1},
                                      {"kB", 1e3},
                                      {"MB", 1e6},
                                      {"GB", 1e9},
                                      {"TB", 1e12},
                                      {"KiB", kKi},
                                      {"MiB", kMi},
                                      {"GiB", kGi},
                                      {"TiB", kTi}}};
constexpr std::array<Unit, 5> kCount{{{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}}};
constexpr std::array<Unit, 8> kFlops{{{"FLOPS", 1},
                                      {"MFLOPS", 1e6},
                                      {"GFLOPS", 1e9},
                                      {"TFLOPS", 1e12},
                                      {"FLOP/s", 1},
                                      {"GFLOP/s", 1e9},
                                      {"TFLOP/s", 1e12},
                                      {"PFLOP/s", 1e15}}};

constexpr std::array<Unit, 3> kPower{{{"W", 1}, {"kW", 1e3}, {"mW", 1e-3}}};
constexpr std::array<Unit, 2> kPrice{{{"USD/h", 1}, {"$/h", 1}}};

double parse(std::string_view text, std::span<const Unit> units, std::string_view what,
             std::string_view example, bool zero_allowed, bool infinity_allowed = false) {
  const std::string_view body = trimmed(text);
  double value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value);
  if (error != std::errc{} || std::isnan(value))
    throw InputError(fmt::format("'{}' is not a {} (expected e.g. \"{}\")", text, what, example));
  const std::string_view unit =
      trimmed({end, static_cast<std::size_t>(body.data() + body.size() - end)});
  if (std::isinf(value)) {
    if (infinity_allowed && value > 0 && unit.empty()) return value;
    throw InputError(
        fmt::format("'{}' is not a finite {} (expected e.g. \"{}\")", text, what, example));
  }
  for (const Unit& known : units) {
    if (known.name != unit) continue;
    // Dividing by the whole inverse rounds once: "50us" is the double nearest to 50e-6.
    const double result =
        known.factor < 1 ? value / std::round(1 / known.factor) : value * known.factor;
    if (std::isinf(result)) throw InputError(fmt::format("'{}' is too large for a {}", text, what));
    if (result < 0 || (result == 0 && !zero_allowed))
      throw InputError(fmt::format("a {} must be {}, not '{}'", what,
                                   zero_allowed ? "zero or more" : "greater than zero", text));
    return result;
  }
  if (unit.empty())
    throw InputError(
        fmt::format("'{}' lacks a unit: a {} is written like \"{}\"", text, what, example));
  throw InputError(
      fmt::format("'{}' is not a unit of a {} (expected e.g. \"{}\")", unit, what, example));
}

std::string scaled(double value, std::span<const Unit> units, int digits) {
  const Unit* chosen = &units.front();
  for (const Unit& unit : units)
    if (std::abs(value) >= unit.factor * 0.9999995) chosen = &unit;
  return fmt::format("{:.{}g} {}", value / chosen->factor, digits, chosen->name);
}

// Of texts of one length the first unit's.
std::string shortest(double value, std::span<const Unit> units, double (*parse)(std::string_view)) {
  std::string best;
  for (const Unit& unit : units) {
    const double scaled = value / unit.factor;
    if (!std::isfinite(scaled) || (scaled == 0) != (value == 0)) continue;
    for (const std::string& text :
         {fmt::format("{:.12g}{}", scaled, unit.name), fmt::format("{}{}", scaled, unit.name)})
      if ((best.empty() || text.size() < best.size()) && parse(text) == value) best = text;
  }
  return best;
}

}  // namespace

double parse_bandwidth(std::string_view text) {
  return parse(text, kBandwidth, "bandwidth", "10Gbps", false, true);
}
double parse_duration(std::string_view text) {
  return parse(text, kDuration, "duration", "50us", true);
}
double parse_bytes(std::string_view text) {
  return parse(text, kBytes, "size", "32MiB", true);
}
double parse_count(std::string_view text) {
  return parse(text, kCount, "count", "25.6M", true);
}
double parse_flops(std::string_view text) {
  return parse(text, kFlops, "speed", "12.1TFLOPS", false);
}
double parse_power(std::string_view text) {
  return parse(text, kPower, "power", "250W", true);
}
double parse_price(std::string_view text) {
  return parse(text, kPrice, "price", "2.48USD/h", true);
}

std::string format_bandwidth(double bytes_per_second) {
  static constexpr std::array<Unit, 5> units{{{"b/s", 1 / 8.0},
                                              {"kb/s", 1e3 / 8},
                                              {"Mb/s", 1e6 / 8},
                                              {"Gb/s", 1e9 / 8},
                                              {"Tb/s", 1e12 / 8}}};
  if (std::isinf(bytes_per_second)) return "infinite";
  return scaled(bytes_per_second, units, 4);
}

std::string format_duration(double seconds) {
  static constexpr std::array<Unit, 4> units{{{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}}};
  if (seconds == 0) return "0 s";
  return scaled(seconds, units, 6);
}

std::string format_bytes(double bytes) {
  static constexpr std::array<Unit, 5> units{
      {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}};
  return scaled(bytes, units, 4);
}

std::string format_count(double count) {
  std::string text = scaled(count, kCount, 4);
  if (text.back() == ' ') text.pop_back();
  return text;
}

std::string write_bandwidth(double bytes_per_second, RateUnit unit) {
  static constexpr std::array<Unit, 6> units{{{"Gbps", 1e9 / 8},
                                              {"Mbps", 1e6 / 8},
                                              {"GB/s", 1e9},
                                              {"GiB/s", kGi},
                                              {"MB/s", 1e6},
                                              {"B/s", 1}}};
  if (std::isinf(bytes_per_second)) return "inf";
  return shortest(bytes_per_second, std::span(units).subspan(unit == RateUnit::bytes ? 2 : 0),
                  parse_bandwidth);
}

std::string write_duration(double seconds) {
  static constexpr std::array<Unit, 4> units{{{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}}};
  return shortest(seconds, units, parse_duration);
}

std::string write_bytes(double bytes) {
  static constexpr std::array<Unit, 5> units{
      {{"GiB", kGi}, {"MiB", kMi}, {"GB", 1e9}, {"MB", 1e6}, {"B", 1}}};
  return shortest(bytes, units, parse_bytes);
}

std::string write_flops(double flop_per_second) {
  static constexpr std::array<Unit, 3> units{{{"TFLOPS", 1e12}, {"GFLOPS", 1e9}, {"FLOPS", 1}}};
  return shortest(flop_per_second, units, parse_flops);
}

std::string write_power(double watts) {
  return shortest(watts, std::span(kPower).first(1), parse_power);
}

std::string write_price(double dollars_per_hour) {
  return shortest(dollars_per_hour, std::span(kPrice).first(1), parse_price);
}

}  // namespace paceline
