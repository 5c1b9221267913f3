#pragma once

#include <algorithm>
#include <climits>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/format.hpp"
#include "base/json.hpp"
#include "base/units.hpp"

// One listing of the keys of an object in a file, for reading it and for writing it:
//
//   template <class F>
//   void fields(F& f, HostSpec& host) {
//     f.stated("memory_bandwidth", host.memory_bandwidth, field::Bandwidth{});
//     f.unless("memory", host.memory_bytes, kInfinity, field::Bytes{});
//   }
//
// `f` is a FieldReader or a FieldWriter; a key's kind says how its value is read, checked and
// written. Keys are read and written in the order of the listing, which may depend on what has been
// read before.
namespace paceline {

/// Reads every key into its variable; what the file leaves out stays as it is.
class FieldReader {
 public:
  static constexpr bool kReads = true;
  explicit FieldReader(ObjectReader& reader) : reader_(reader) {}

  /// The key "format" with this value.
  void format(const std::string& expected) { expect_format(reader_, expected); }
  /// The file must have it.
  void required(std::string_view key, auto& x, const auto& kind) { kind.read(reader_, key, x); }
  /// The file may leave it out; it is always written.
  void stated(std::string_view key, auto& x, const auto& kind) {
    if (reader_.has(key)) kind.read(reader_, key, x);
  }
  /// Absent in the file: absent here.
  template <class T>
  void optional(std::string_view key, std::optional<T>& x, const auto& kind) {
    if (reader_.has(key)) kind.read(reader_, key, x.emplace());
  }
  /// The file may leave it out; it is written unless it is `absent`.
  template <class T>
  void unless(std::string_view key, T& x, const std::type_identity_t<T>& /*absent*/,
              const auto& kind) {
    stated(key, x, kind);
  }
  /// Read where it is given, and never written: what it says stands elsewhere.
  void given(std::string_view key, auto& x, const auto& kind) { stated(key, x, kind); }
  /// For checks of what was read.
  [[nodiscard]] ObjectReader& reader() { return reader_; }

 private:
  ObjectReader& reader_;
};

/// Writes every key with all defaults, in the same order.
class FieldWriter {
 public:
  static constexpr bool kReads = false;
  explicit FieldWriter(Json& json) : json_(json) {}

  void format(const std::string& name) { json_["format"] = name; }
  void required(std::string_view key, const auto& x, const auto& kind) {
    json_[std::string(key)] = kind.write(x);
  }
  void stated(std::string_view key, const auto& x, const auto& kind) { required(key, x, kind); }
  template <class T>
  void optional(std::string_view key, const std::optional<T>& x, const auto& kind) {
    if (x) required(key, *x, kind);
  }
  template <class T>
  void unless(std::string_view key, const T& x, const std::type_identity_t<T>& absent,
              const auto& kind) {
    if (!(x == absent)) required(key, x, kind);
  }
  void given(std::string_view, const auto&, const auto&) {}

 private:
  Json& json_;
};

/// Lists the keys.
class FieldNames {
 public:
  static constexpr bool kReads = false;
  std::vector<std::string> names;

  void format(const std::string&) { names.emplace_back("format"); }
  void required(std::string_view key, const auto&, const auto&) { names.emplace_back(key); }
  void stated(std::string_view key, const auto&, const auto&) { names.emplace_back(key); }
  void optional(std::string_view key, const auto&, const auto&) { names.emplace_back(key); }
  template <class T>
  void unless(std::string_view key, const T&, const std::type_identity_t<T>&, const auto&) {
    names.emplace_back(key);
  }
  void given(std::string_view key, const auto&, const auto&) { names.emplace_back(key); }
};

/// Into `x`, by its fields(); keys that are not among them are refused. Throws InputError.
template <class T>
void read_fields(ObjectReader& reader, T& x) {
  FieldReader f(reader);
  fields(f, x);
  reader.finish();
}

template <class T>
Json write_fields(T x) {
  Json json = Json::object();
  FieldWriter f(json);
  fields(f, x);
  return json;
}

// Kinds of values.
namespace field {

struct Text {
  void read(ObjectReader& r, std::string_view key, std::string& x) const { x = r.string(key); }
  [[nodiscard]] Json write(const std::string& x) const { return x; }
};

struct Texts {
  void read(ObjectReader& r, std::string_view key, std::vector<std::string>& x) const {
    x = r.strings(key);
  }
  [[nodiscard]] Json write(const std::vector<std::string>& x) const { return x; }
};

struct Flag {
  void read(ObjectReader& r, std::string_view key, bool& x) const { x = r.boolean(key, x); }
  [[nodiscard]] Json write(bool x) const { return x; }
};

/// Without dimension, in [least, most].
struct Number {
  double least, most = HUGE_VAL;
  void read(ObjectReader& r, std::string_view key, double& x) const {
    x = r.number(key, least, most);
  }
  [[nodiscard]] Json write(double x) const { return x; }
};

/// A whole number in [least, most].
struct Whole {
  std::int64_t least, most = INT64_MAX;
  template <class T>
  void read(ObjectReader& r, std::string_view key, T& x) const {
    x = static_cast<T>(r.integer(key, least, most));
  }
  template <class T>
  [[nodiscard]] Json write(const T& x) const {
    return x;
  }
};

struct Duration {
  void read(ObjectReader& r, std::string_view key, double& x) const { x = r.duration(key); }
  [[nodiscard]] Json write(double x) const { return write_duration(x); }
};

struct FiniteDuration {
  void read(ObjectReader& r, std::string_view key, double& x) const {
    x = r.duration(key);
    if (!std::isfinite(x)) r.fail_at(key, "expected a finite time");
  }
  [[nodiscard]] Json write(double x) const { return write_duration(x); }
};

struct Bandwidth {
  RateUnit unit = RateUnit::any;
  void read(ObjectReader& r, std::string_view key, double& x) const { x = r.bandwidth(key); }
  [[nodiscard]] Json write(double x) const { return write_bandwidth(x, unit); }
};

struct Bytes {
  void read(ObjectReader& r, std::string_view key, double& x) const { x = r.bytes(key); }
  [[nodiscard]] Json write(double x) const { return write_bytes(x); }
};

struct Flops {
  void read(ObjectReader& r, std::string_view key, double& x) const { x = r.flops(key); }
  [[nodiscard]] Json write(double x) const { return write_flops(x); }
};

struct Power {
  void read(ObjectReader& r, std::string_view key, double& x) const { x = r.power(key); }
  [[nodiscard]] Json write(double x) const { return write_power(x); }
};

struct Price {
  void read(ObjectReader& r, std::string_view key, double& x) const { x = r.price(key); }
  [[nodiscard]] Json write(double x) const { return write_price(x); }
};

/// An enumeration by the names of its values, in their order; or a bool, as false and true.
struct Choice {
  const std::vector<std::string>& names;
  template <class T>
  void read(ObjectReader& r, std::string_view key, T& x) const {
    const std::string name = r.choice(key, names);
    x = static_cast<T>(std::find(names.begin(), names.end(), name) - names.begin());
  }
  void read(ObjectReader& r, std::string_view key, std::string& x) const {
    x = r.choice(key, names);
  }
  template <class T>
  [[nodiscard]] Json write(const T& x) const {
    return names.at(static_cast<std::size_t>(x));
  }
  [[nodiscard]] Json write(const std::string& x) const { return x; }
};

/// An object with fields() of its own.
struct Object {
  template <class T>
  void read(ObjectReader& r, std::string_view key, T& x) const {
    ObjectReader inner = r.object(key);
    read_fields(inner, x);
  }
  template <class T>
  [[nodiscard]] Json write(const T& x) const {
    return write_fields(x);
  }
};

struct OwnFields {
  void operator()(auto& f, auto& x) const { fields(f, x); }
};

/// An array of objects, by their fields() or by `listing(f, x)`.
template <class Listing = OwnFields>
struct Objects {
  Listing listing = {};
  template <class T>
  void read(ObjectReader& r, std::string_view key, std::vector<T>& x) const {
    x.clear();
    for (ObjectReader& item : r.objects(key)) {
      FieldReader f(item);
      listing(f, x.emplace_back());
      item.finish();
    }
  }
  template <class T>
  [[nodiscard]] Json write(std::vector<T> x) const {
    Json array = Json::array();
    for (T& item : x) {
      FieldWriter f(array.emplace_back(Json::object()));
      listing(f, item);
    }
    return array;
  }
};
Objects()->Objects<>;
template <class Listing>
Objects(Listing) -> Objects<Listing>;

/// Free keys, each with a text.
struct TextMap {
  void read(ObjectReader& r, std::string_view key, auto& x) const {
    ObjectReader inner = r.object(key);
    for (const std::string& name : inner.keys()) x[name] = inner.string(name);
  }
  [[nodiscard]] Json write(const auto& x) const {
    Json json = Json::object();
    for (const auto& [name, text] : x) json[name] = text;
    return json;
  }
};

/// An object by its fields(), or a short form: `bool(ObjectReader&, key, x&)` takes it, or says that
/// this is none. The object is written.
template <class Short>
struct ObjectOr {
  Short read_short;
  template <class T>
  void read(ObjectReader& r, std::string_view key, T& x) const {
    if (!read_short(r, key, x)) Object{}.read(r, key, x);
  }
  template <class T>
  [[nodiscard]] Json write(const T& x) const {
    return write_fields(x);
  }
};
template <class Short>
ObjectOr(Short) -> ObjectOr<Short>;

}  // namespace field
}  // namespace paceline
