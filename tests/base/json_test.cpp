#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/format.hpp"
#include "tests/base/temporary_folder.hpp"

namespace paceline {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;

/// Parses `text` as "f.json" and hands its reader to `use`.
template <class Use>
void read(std::string_view text, Use use) {
  const Json json = parse_json(text, "f.json");
  ObjectReader reader(json, "f.json");
  use(reader);
}

#define EXPECT_INPUT_ERROR(statement, matcher) \
  EXPECT_THAT([&] { statement; }, ThrowsMessage<InputError>(matcher))

TEST(ObjectReader, QuantitiesHaveLimits) {
  for (const auto& quantity : {std::pair("duration", "1e11s"),
                               {"duration", "1e-300s"},
                               {"bandwidth", "1e300Gbps"},
                               {"bandwidth", "1e-300b/s"},
                               {"bytes", "1e200GB"},
                               {"flops", "1e30TFLOPS"},
                               {"count", "1e16"}})
    EXPECT_INPUT_ERROR(read(std::string("{\"k\": \"") + quantity.second + "\"}",
                            [&](ObjectReader& r) {
                              const std::string kind = quantity.first;
                              if (kind == "duration") r.duration("k");
                              if (kind == "bandwidth") r.bandwidth("k");
                              if (kind == "bytes") r.bytes("k");
                              if (kind == "flops") r.flops("k");
                              if (kind == "count") r.count("k");
                            }),
                       StartsWith("f.json: $.k: must be between "))
        << quantity.second;
  EXPECT_INPUT_ERROR(read("{\"k\": 1e300}", [](ObjectReader& r) { r.count("k"); }),
                     StartsWith("f.json: $.k: must be between "));
  EXPECT_INPUT_ERROR(read("{\"k\": \"1e307h\"}", [](ObjectReader& r) { r.duration("k"); }),
                     HasSubstr("is too large for a duration"));
  read(R"({"inf": "inf", "zero": "0s"})", [](ObjectReader& r) {
    EXPECT_EQ(r.bandwidth("inf"), HUGE_VAL);
    EXPECT_EQ(r.duration("zero"), 0);
  });
}

TEST(ExpectFormat, SaysWhatTheFileIs) {
  EXPECT_INPUT_ERROR(read(R"({"format": "paceline-cluster-1"})",
                          [](ObjectReader& r) { expect_format(r, "paceline-model-1"); }),
                     "f.json: $.format: this is a cluster (paceline-cluster-1), expected a model; "
                     "give it with --cluster");
  EXPECT_INPUT_ERROR(read(R"({"format": "paceline-modle-1"})",
                          [](ObjectReader& r) { expect_format(r, "paceline-model-1"); }),
                     HasSubstr("did you mean 'paceline-model-1'?"));
}

TEST(ParseJson, MalformedTextIsPlaced) {
  EXPECT_INPUT_ERROR(parse_json("{\"a\": 1,\n \"b\": }\n", "f.json"),
                     StartsWith("f.json: line 2, column 7: not JSON: "));
  EXPECT_INPUT_ERROR(parse_json("x", "f.json"), StartsWith("f.json: line 1, column 1: "));
  EXPECT_INPUT_ERROR(parse_json("{\"a\": 1}\n\n]", "f.json"),
                     StartsWith("f.json: line 3, column 1: "));
}

TEST(ParseJson, TruncatedTextIsPlacedAtItsEnd) {
  const std::string whole = "{\n  \"name\": \"x\",\n  \"nodes\": [1, 2, {\"a\": true}]\n}";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string text = whole.substr(0, length);
    const auto line = 1 + std::count(text.begin(), text.end(), '\n');
    EXPECT_INPUT_ERROR(parse_json(text, "f.json"),
                       AllOf(StartsWith("f.json: line " + std::to_string(line) + ", column "),
                             HasSubstr("not JSON")));
  }
  EXPECT_INPUT_ERROR(parse_json("{\"a\":\n  [1, 2", "f.json"), HasSubstr("line 2, column 8: "));
}

TEST(ParseJson, DuplicateKeyIsRefused) {
  EXPECT_INPUT_ERROR(parse_json(R"({"a": 1, "b": {"a": 2}, "a": 3})", "f.json"),
                     AllOf(StartsWith("f.json: "), HasSubstr("'a' appears twice")));
  EXPECT_INPUT_ERROR(parse_json(R"({"x": [{"k": 1, "k": 1}]})", "f.json"), HasSubstr("'k'"));
  EXPECT_NO_THROW(parse_json(R"({"a": {"k": 1}, "b": {"k": 1}, "c": [{"k": 1}, {"k": 2}]})", "f"));
}

TEST(ParseJson, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"z": 1, "a": 2})", "f").dump(), R"({"z":1,"a":2})");
}

TEST(ParseJson, NestingIsBounded) {
  for (const char bracket : {'[', '{'}) {
    const std::string open = bracket == '[' ? "[" : "{\"a\":", close = bracket == '[' ? "]" : "}";
    const auto nested = [&](int depth) {
      std::string text;
      for (int i = 0; i < depth; ++i) text += open;
      text += "1";
      for (int i = 0; i < depth; ++i) text += close;
      return text;
    };
    EXPECT_NO_THROW(parse_json(nested(200), "f.json"));
    EXPECT_INPUT_ERROR(parse_json(nested(201), "f.json"),
                       "f.json: objects and arrays are nested more than 200 deep");
    EXPECT_INPUT_ERROR(parse_json(nested(100000), "f.json"), HasSubstr("200 deep"));
  }
  EXPECT_INPUT_ERROR(parse_json(std::string(100000, '['), "f.json"), HasSubstr("200 deep"));
}

TEST(ParseJson, NumbersBeyondDoubleAreRefused) {
  EXPECT_INPUT_ERROR(parse_json("{\"a\":\n 1e999}", "f.json"),
                     "f.json: line 2, column 2: the number 1e999 is too large");
}

TEST(ParseJson, OfTheCommandLineWhatIsNoJsonIsText) {
  EXPECT_EQ(parse_json_or_text("1.5", "--set"), 1.5);
  EXPECT_EQ(parse_json_or_text("25Gbps", "--set"), "25Gbps");
  EXPECT_EQ(parse_json_or_text("", "--set"), "");
  EXPECT_INPUT_ERROR(parse_json_or_text(R"({"k": 1, "k": 2})", "--set"), HasSubstr("twice"));
}

TEST(LoadJson, UnreadableFilesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_INPUT_ERROR(load_json(folder / "absent.json"),
                     AllOf(HasSubstr("absent.json"), HasSubstr("No such file")));
  EXPECT_INPUT_ERROR(load_json(folder.path()),
                     AllOf(HasSubstr(folder.path().string()), HasSubstr("folder")));
  write(folder / "broken.json", "{\n\"a\" 1}");
  EXPECT_INPUT_ERROR(load_json(folder / "broken.json"),
                     HasSubstr("broken.json: line 2, column 5: "));
}

TEST(SaveJson, ReadsBack) {
  const TemporaryFolder folder;
  const Json json = parse_json(R"({"z": 0.1, "a": [1, "zwölf", null]})", "f");
  save_json(folder / "f.json", json);
  EXPECT_EQ(load_json(folder / "f.json"), json);
  EXPECT_THAT(contents(folder / "f.json"), EndsWith("}\n"));
  EXPECT_EQ(folder.files(), 1U);  // no temporary left behind
}

// Anyone who holds the old file open keeps reading the old text whole: it is replaced, not
// rewritten.
TEST(SaveJson, ReplacesTheFileAtOnce) {
  const TemporaryFolder folder;
  write(folder / "f.json", "old text");
  std::ifstream reader(folder / "f.json");
  save_json(folder / "f.json", Json::object());
  std::ostringstream seen;
  seen << reader.rdbuf();
  EXPECT_EQ(seen.str(), "old text");
  EXPECT_EQ(contents(folder / "f.json"), "{}\n");
}

TEST(SaveJson, FailureLeavesTheOldFileAndNothingElse) {
  const TemporaryFolder folder;
  EXPECT_ANY_THROW(save_json(folder / "absent" / "f.json", Json::object()));
  EXPECT_EQ(folder.files(), 0U);
  write(folder / "f.json", "old text");
  const Json unwritable = std::string("\xff not UTF-8");
  EXPECT_ANY_THROW(save_json(folder / "f.json", unwritable));
  EXPECT_EQ(contents(folder / "f.json"), "old text");
  EXPECT_EQ(folder.files(), 1U);
}

TEST(ObjectReader, ReadsEveryType) {
  read(R"({"s": "x", "b": true, "i": 3, "n": 0.5, "bw": "10Gbps", "t": "50us", "m": "32MiB",
           "c": "25.6M", "c2": 161, "f": "12.1TFLOPS", "o": {"k": 1}, "os": [{"k": 1}, {"k": 2}],
           "ss": ["a", "b"], "ns": [1, 0.5], "is": [1, -2], "r": null})",
       [](ObjectReader& r) {
         EXPECT_EQ(r.string("s"), "x");
         EXPECT_EQ(r.choice("s", {"w", "x"}), "x");
         EXPECT_TRUE(r.boolean("b", false));
         EXPECT_EQ(r.integer("i", 1, 3), 3);
         EXPECT_EQ(r.number("n", 0, 1), 0.5);
         EXPECT_EQ(r.bandwidth("bw"), 1.25e9);
         EXPECT_EQ(r.duration("t"), 50e-6);
         EXPECT_EQ(r.bytes("m"), 33554432);
         EXPECT_EQ(r.count("c"), 25.6e6);
         EXPECT_EQ(r.count("c2"), 161);
         EXPECT_EQ(r.flops("f"), 12.1e12);
         EXPECT_EQ(r.object("o").integer("k"), 1);
         EXPECT_EQ(r.objects("os").at(1).integer("k"), 2);
         EXPECT_THAT(r.strings("ss"), ElementsAre("a", "b"));
         EXPECT_THAT(r.numbers("ns"), ElementsAre(1, 0.5));
         EXPECT_THAT(r.integers("is"), ElementsAre(1, -2));
         EXPECT_TRUE(r.raw("r").is_null());
         EXPECT_NO_THROW(r.finish());
       });
}

TEST(ObjectReader, AbsentKeysTakeTheirDefaults) {
  read("{}", [](ObjectReader& r) {
    EXPECT_FALSE(r.has("s"));
    EXPECT_EQ(r.string("s", "d"), "d");
    EXPECT_EQ(r.choice("s", {"d", "e"}, "e"), "e");
    EXPECT_TRUE(r.boolean("b", true));
    EXPECT_EQ(r.integer_or("i", 7, 0, 9), 7);
    EXPECT_EQ(r.number("n", 0, 1, 0.25), 0.25);
    EXPECT_EQ(r.bandwidth("bw", 2.0), 2.0);
    EXPECT_EQ(r.duration("t", 3.0), 3.0);
    EXPECT_EQ(r.bytes("m", 4.0), 4.0);
    EXPECT_EQ(r.count("c", 5.0), 5.0);
    EXPECT_EQ(r.flops("f", 6.0), 6.0);
    EXPECT_NO_THROW(r.finish());
  });
}

TEST(ObjectReader, UnknownKeyNamesTheNearestThatWasAskedFor) {
  read(R"({"latency": "1us", "bandwith": "10Gbps"})", [](ObjectReader& r) {
    r.duration("latency");
    EXPECT_FALSE(r.has("bandwidth"));
    EXPECT_INPUT_ERROR(r.finish(),
                       AllOf(StartsWith("f.json: $: "),
                             HasSubstr("unknown key 'bandwith'; did you mean 'bandwidth'?")));
  });
}

TEST(ObjectReader, MissingKeyPointsAtItsMisspelling) {
  read(R"({"bandwith": "10Gbps"})", [](ObjectReader& r) {
    EXPECT_INPUT_ERROR(r.bandwidth("bandwidth"),
                       AllOf(HasSubstr("missing key 'bandwidth'"), HasSubstr("'bandwith'")));
  });
  read("{}", [](ObjectReader& r) {
    EXPECT_INPUT_ERROR(r.string("name"), "f.json: $: missing key 'name'");
  });
}

TEST(ObjectReader, WrongTypesSayWhatWasExpectedAndFound) {
  read(R"({"n": 5, "s": "x", "a": [1, "x"], "o": {"k": {}},
           "huge": [9223372036854775808]})",
       [](ObjectReader& r) {
         EXPECT_INPUT_ERROR(r.string("n"), "f.json: $.n: expected a string, found 5");
         EXPECT_INPUT_ERROR(r.integer("s"), HasSubstr("$.s: expected a whole number, found \"x\""));
         EXPECT_INPUT_ERROR(r.number("s", 0, 1), HasSubstr("$.s: expected a number"));
         EXPECT_INPUT_ERROR(r.boolean("n", false),
                            HasSubstr("$.n: expected true or false, found 5"));
         EXPECT_INPUT_ERROR(r.object("n"), HasSubstr("$.n: expected an object, found 5"));
         EXPECT_INPUT_ERROR(r.objects("n"), HasSubstr("$.n: expected an array"));
         EXPECT_INPUT_ERROR(r.objects("a"), HasSubstr("$.a[0]: expected an object"));
         EXPECT_INPUT_ERROR(r.strings("a"), HasSubstr("$.a: expected strings, found 1"));
         EXPECT_INPUT_ERROR(r.numbers("a"), HasSubstr("$.a: expected numbers, found \"x\""));
         EXPECT_INPUT_ERROR(r.integers("a"), HasSubstr("$.a: expected whole numbers, found \"x\""));
         EXPECT_INPUT_ERROR(r.integers("huge"),
                            HasSubstr("$.huge: expected whole numbers, found 9223372036854775808"));
         EXPECT_INPUT_ERROR(r.object("o").string("k"), HasSubstr("$.o.k: expected a string"));
         EXPECT_INPUT_ERROR(r.duration("o"), HasSubstr("expected a string like \"50us\""));
       });
  EXPECT_INPUT_ERROR(read("[]", [](ObjectReader&) {}), HasSubstr("expected an object, found []"));
}

TEST(ObjectReader, QuantitiesWantTheirUnits) {
  read(R"({"bare": 50, "unitless": "50", "wrong": "50Gbps", "negative": "-1us"})",
       [](ObjectReader& r) {
         EXPECT_INPUT_ERROR(r.duration("bare"),
                            AllOf(StartsWith("f.json: $.bare: "), HasSubstr("50 lacks a unit"),
                                  HasSubstr("50us")));
         EXPECT_INPUT_ERROR(r.duration("unitless"), HasSubstr("$.unitless: '50' lacks a unit"));
         EXPECT_INPUT_ERROR(r.duration("wrong"),
                            HasSubstr("$.wrong: 'Gbps' is not a unit of a duration"));
         EXPECT_INPUT_ERROR(r.duration("negative"), HasSubstr("zero or more"));
         EXPECT_INPUT_ERROR(r.duration("bare", 1.0), HasSubstr("lacks a unit"));  // default or not
       });
}

TEST(ObjectReader, RangesAreInclusive) {
  read(R"({"i": 5, "n": 0.5, "c": -1, "half": 1.5, "huge": 9223372036854775808})",
       [](ObjectReader& r) {
         EXPECT_EQ(r.integer("i", 5, 5), 5);
         EXPECT_INPUT_ERROR(r.integer("i", 6), HasSubstr("must be 6 or more, found 5"));
         EXPECT_INPUT_ERROR(r.integer("i", 1, 4), HasSubstr("must be between 1 and 4, found 5"));
         EXPECT_EQ(r.number("n", 0.5, 0.5), 0.5);
         EXPECT_INPUT_ERROR(r.number("n", 0, 0.4),
                            HasSubstr("must be between 0 and 0.4, found 0.5"));
         EXPECT_INPUT_ERROR(r.count("c"), HasSubstr("$.c: must be 0 or more"));
         EXPECT_INPUT_ERROR(r.integer("half"), HasSubstr("expected a whole number, found 1.5"));
         EXPECT_INPUT_ERROR(r.integer("huge"), HasSubstr("expected a whole number"));
       });
}

TEST(ObjectReader, ChoiceNamesTheNearest) {
  read(R"({"topology": "fat-tre"})", [](ObjectReader& r) {
    EXPECT_INPUT_ERROR(
        r.choice("topology", {"star", "fat-tree", "torus"}),
        AllOf(StartsWith("f.json: $.topology: "), HasSubstr("did you mean 'fat-tree'?")));
  });
}

TEST(ObjectReader, KeysCountAsAskedFor) {
  read(R"({"b": 1, "a": 2})", [](ObjectReader& r) {
    EXPECT_THAT(r.keys(), ElementsAre("b", "a"));
    EXPECT_NO_THROW(r.finish());
  });
}

TEST(ObjectReader, FailSaysWhere) {
  read(R"({"o": {"k": 1}})", [](ObjectReader& r) {
    const ObjectReader o = r.object("o");
    EXPECT_EQ(o.path(), "$.o");
    EXPECT_INPUT_ERROR(o.fail("bad"), "f.json: $.o: bad");
    EXPECT_INPUT_ERROR(o.fail_at("k", "bad"), "f.json: $.o.k: bad");
  });
}

}  // namespace
}  // namespace paceline
