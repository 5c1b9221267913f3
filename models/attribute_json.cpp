#include "models/attribute_json.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/json.hpp"

namespace paceline {
namespace {

constexpr std::int64_t kMost = 1'000'000'000;

Extent read_extent(ObjectReader& reader, const char* key, std::int64_t least) {
  if (!reader.raw(key).is_array()) return {reader.integer(key, least, kMost)};
  const std::vector<std::int64_t> sizes = reader.integers(key);
  if (sizes.size() != 2) reader.fail_at(key, "expected one whole number or [height, width]");
  for (const std::int64_t size : sizes)
    if (size < least || size > kMost)
      reader.fail_at(key, fmt::format("must be between {} and {}, found {}", least, kMost, size));
  return {sizes[0], sizes[1]};
}

// What fields() of a type calls, one line per attribute. A number comes with its bounds.

/// Reads each attribute under its own name.
struct Reader {
  ObjectReader& r;

  void required(const char* key, TensorShape& shape) const { shape = r.integers(key); }
  void required(const char* key, std::int64_t& x, std::int64_t least) const {
    x = r.integer(key, least, kMost);
  }
  void required(const char* key, Extent& x, std::int64_t least) const {
    x = read_extent(r, key, least);
  }
  void optional(const char* key, Extent& x, std::int64_t least) const {
    if (r.has(key)) x = read_extent(r, key, least);
  }
  void optional(const char* key, std::int64_t& x, std::int64_t least,
                std::int64_t most = kMost) const {
    x = r.integer_or(key, x, least, most);
  }
  void optional(const char* key, double& x, double least, double most = HUGE_VAL) const {
    x = r.number(key, least, most, x);
  }
  void optional(const char* key, bool& x) const { x = r.boolean(key, x); }
  void optional(const char* key, std::string& x) const { x = r.string(key, x); }
  void stated(const char* key, double& x, double least, double most) const {
    optional(key, x, least, most);
  }
  void elements(const char* key, std::int64_t& x) const {
    const double count = r.count(key);
    if (count < 1 || count > 1e12 || count != std::floor(count))
      r.fail_at(key, fmt::format("expected a whole number from 1 to 1e12, found {}", count));
    x = static_cast<std::int64_t>(count);
  }
  void flops(const char* key, double& x) const { x = r.count(key, x); }
  void bytes(const char* key, double& x) const { x = r.bytes(key, x); }
};

Json plain_json(const auto& value) {
  return value;
}
Json plain_json(const Extent& value) {
  if (value.height == value.width) return value.height;
  return Json::array({value.height, value.width});
}

/// Each attribute in the order of fields(); those that may be left out at their defaults are
/// marked.
struct Writer {
  struct Entry {
    const char* key;
    Json value;
    bool optional;
  };
  std::vector<Entry> entries = {};

  void required(const char* key, const auto& x, auto... /*bounds*/) {
    entries.push_back({key, plain_json(x), false});
  }
  void optional(const char* key, const auto& x, auto... /*bounds*/) {
    entries.push_back({key, plain_json(x), true});
  }
  void stated(const char* key, double x, double /*least*/, double /*most*/) { required(key, x); }
  void elements(const char* key, std::int64_t x) { required(key, x); }
  void flops(const char* key, double x) { optional(key, x); }
  void bytes(const char* key, double x) { optional(key, fmt::format("{}B", x)); }
};

}  // namespace

Attributes read_attributes(ObjectReader& reader, OpKind kind) {
  Attributes attributes = default_attributes(kind);
  Reader read{reader};
  std::visit([&](auto& a) { a.fields(a, read); }, attributes);
  return attributes;
}

void write_attributes(Json& json, const Attributes& attributes) {
  std::visit(
      [&]<class Op>(const Op& a) {
        Writer own, standard;
        Op::fields(a, own);
        const Op defaults;
        Op::fields(defaults, standard);
        for (std::size_t i = 0; i < own.entries.size(); ++i) {
          Writer::Entry& entry = own.entries[i];
          if (!entry.optional || entry.value != standard.entries[i].value)
            json[entry.key] = std::move(entry.value);
        }
      },
      attributes);
}

}  // namespace paceline
