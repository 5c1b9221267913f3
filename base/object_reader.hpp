#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.hpp"

namespace paceline {

/// Reads one JSON object and refuses what it was not asked for. Every getter names the key; a wrong
/// type, unit or sign throws InputError "file: $.network.bandwidth: expected ..., found ...".
/// `finish()` throws on keys no getter asked for, naming the nearest key that was. Getters with a
/// default make a key optional. The Json passed in must outlive the reader.
class ObjectReader {
 public:
  ObjectReader(const Json& object, std::string file, std::string path = "$");

  [[nodiscard]] bool has(std::string_view key);  ///< also counts as asked for
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const std::string& path() const { return path_; }

  std::string string(std::string_view key);
  std::string string(std::string_view key, std::string_view fallback);
  /// A string that must be one of `names`.
  std::string choice(std::string_view key, const std::vector<std::string>& names);
  std::string choice(std::string_view key, const std::vector<std::string>& names,
                     std::string_view fallback);
  bool boolean(std::string_view key, bool fallback);
  std::int64_t integer(std::string_view key, std::int64_t least = INT64_MIN,
                       std::int64_t most = INT64_MAX);
  std::int64_t integer_or(std::string_view key, std::int64_t fallback,
                          std::int64_t least = INT64_MIN, std::int64_t most = INT64_MAX);
  /// A dimensionless number in [least, most].
  double number(std::string_view key, double least, double most);
  double number(std::string_view key, double least, double most, double fallback);

  // Quantities: strings with units (base/units.hpp); the bare number is refused.
  double bandwidth(std::string_view key, std::optional<double> fallback = {});
  double duration(std::string_view key, std::optional<double> fallback = {});
  double bytes(std::string_view key, std::optional<double> fallback = {});
  double count(std::string_view key, std::optional<double> fallback = {});
  double flops(std::string_view key, std::optional<double> fallback = {});
  double power(std::string_view key, std::optional<double> fallback = {});
  double price(std::string_view key, std::optional<double> fallback = {});

  ObjectReader object(std::string_view key);
  /// The elements of an array of objects.
  std::vector<ObjectReader> objects(std::string_view key);
  std::vector<std::string> strings(std::string_view key);
  std::vector<double> numbers(std::string_view key);
  std::vector<std::int64_t> integers(std::string_view key);
  /// The raw value, for what no getter fits; throws if absent.
  const Json& raw(std::string_view key);
  /// All keys of the object, for maps with free keys; marks them as asked for.
  std::vector<std::string> keys();

  void finish() const;
  /// Throws InputError at this object's path, or at `key` below it.
  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void fail_at(std::string_view key, const std::string& message) const;

 private:
  const Json* find(std::string_view key);
  const Json& need(std::string_view key);
  double quantity(std::string_view key, std::optional<double> fallback,
                  double (*parse)(std::string_view), const char* example);

  const Json* object_;
  std::string file_;
  std::string path_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace paceline
