#pragma once

#include <string>
#include <string_view>

// Quantities in files and options are strings with units. Decimal prefixes (k M G T) are powers of
// 1000, binary ones (Ki Mi Gi Ti) powers of 1024; they are never mixed up. 'b' is a bit and 'B' a
// byte. Inside the program everything is in SI base units: seconds, bytes, bytes per second, FLOP
// per second.
namespace paceline {

/// "10Gbps", "10Gb/s", "1.25GB/s", "1.25GiB/s" -> bytes per second. "inf" is allowed.
/// Throws InputError if the unit is missing or is not a rate, or if the value is not a positive
/// number.
double parse_bandwidth(std::string_view text);

/// "50us", "35ms", "1.5s", "434ns", "2min", "0s" -> seconds (not negative). Throws InputError.
double parse_duration(std::string_view text);

/// "32MiB", "8kB", "100MB", "11GB", "0B" -> bytes (not negative). Throws InputError.
double parse_bytes(std::string_view text);

/// "25.6M", "161", "8192", "1.5k" -> a count (not negative; no unit). Throws InputError.
double parse_count(std::string_view text);

/// "12.12TFLOPS", "11.34TFLOP/s" -> FLOP per second (positive). Throws InputError.
double parse_flops(std::string_view text);

/// "250W", "1.2kW" -> watts (not negative). Throws InputError.
double parse_power(std::string_view text);

/// "2.48USD/h", "2.48$/h" -> the same number of dollars an hour (not negative). Throws InputError.
double parse_price(std::string_view text);

std::string format_bandwidth(double bytes_per_second);  ///< network style, "10 Gb/s"
std::string format_duration(double seconds);  ///< "419.745 ms", four to six significant digits
std::string format_bytes(double bytes);       ///< decimal, "102.2 MB"
std::string format_count(double count);       ///< "25.6 M"

// For files: the shortest text that parse_... reads back as exactly this number.
enum class RateUnit {
  any,
  bytes
};  ///< "10Gbps" or "12GB/s", whichever is shorter; only the latter
std::string write_bandwidth(double bytes_per_second, RateUnit unit = RateUnit::any);
std::string write_duration(double seconds);
std::string write_bytes(double bytes);
std::string write_flops(double flop_per_second);
std::string write_power(double watts);
std::string write_price(double dollars_per_hour);

}  // namespace paceline
