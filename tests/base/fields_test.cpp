#include "base/fields.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"

namespace paceline {

namespace {
enum class Colour { red, green };
const std::vector<std::string> kColours{"red", "green"};
}  // namespace

struct Inner {
  double latency_s = 0;
  std::optional<double> rate;
  bool operator==(const Inner&) const = default;
};

template <class F>
static void fields(F& f, Inner& inner) {
  f.required("latency", inner.latency_s, field::Duration{});
  f.optional("rate", inner.rate, field::Bandwidth{});
}

struct Outer {
  std::string name = "none";
  Colour colour = Colour::green;
  std::int32_t count = 3;
  double share = 0.5;
  std::vector<Inner> inner;
  std::string hint;  // read only
  bool operator==(const Outer&) const = default;
};

template <class F>
static void fields(F& f, Outer& outer) {
  f.format("outer-1");
  f.stated("name", outer.name, field::Text{});
  f.stated("colour", outer.colour, field::Choice{kColours});
  f.stated("count", outer.count, field::Whole{1, 10});
  f.unless("share", outer.share, 0.5, field::Number{0, 1});
  f.unless("inner", outer.inner, {}, field::Objects{});
  f.given("hint", outer.hint, field::Text{});
}

namespace {

Outer outer_of(const char* text) {
  const Json json = parse_json(text, "file");
  ObjectReader reader(json, "file");
  Outer outer;
  read_fields(reader, outer);
  return outer;
}

TEST(Fields, WhatIsWrittenReadsBackAndDefaultsAreWrittenOut) {
  const Json written = write_fields(Outer{});
  EXPECT_EQ(written.dump(), R"({"format":"outer-1","name":"none","colour":"green","count":3})");
  EXPECT_EQ(outer_of(written.dump().c_str()), Outer{});

  const Outer other{"x", Colour::red, 7, 0.25, {{1e-3, 2e9}, {0.1, {}}}, ""};
  const Json json = write_fields(other);
  EXPECT_EQ(json["inner"].dump(), R"([{"latency":"1ms","rate":"2GB/s"},{"latency":"0.1s"}])");
  EXPECT_EQ(outer_of(json.dump().c_str()), other);
}

TEST(Fields, WhatIsLeftOutStaysAndWhatIsOnlyReadIsNotWritten) {
  const Outer outer = outer_of(R"({"format": "outer-1", "hint": "read me"})");
  EXPECT_EQ(outer.count, 3);
  EXPECT_EQ(outer.hint, "read me");
  EXPECT_FALSE(write_fields(outer).contains("hint"));
}

TEST(Fields, MistakesAreNamedWithTheirPath) {
  const auto refused = [](const char* text, const char* message) {
    try {
      (void)outer_of(text);
      ADD_FAILURE() << text << " was accepted";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(message)) << text;
    }
  };
  refused(R"({"format": "outer-1", "inner": [{"rate": "1GB/s"}]})",
          "file: $.inner[0]: missing key 'latency'");
  refused(R"({"format": "outer-1", "inner": [{"latency": "1s", "latncy": 1}]})",
          "file: $.inner[0]: unknown key 'latncy'");
  refused(R"({"format": "outer-1", "count": 11})", "file: $.count: must be between 1 and 10");
  refused(R"({"format": "outer-1", "colour": "grene"})", "did you mean 'green'");
}

TEST(Fields, TheNamesOfAllKeysAreListed) {
  Outer outer;
  FieldNames f;
  fields(f, outer);
  EXPECT_THAT(f.names,
              testing::ElementsAre("format", "name", "colour", "count", "share", "inner", "hint"));
}

}  // namespace
}  // namespace paceline
