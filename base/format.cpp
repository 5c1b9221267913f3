#include "base/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

struct Kind {
  const char *format, *name, *taken_by;
};

constexpr Kind kKinds[]{
    {"paceline-model-1", "a model", "give it with --model"},
    {"paceline-cluster-1", "a cluster", "give it with --cluster"},
    {"paceline-profile-1", "a profile of step times", "give it with --profile"},
    {"paceline-stack-1", "a software stack", "give it with --stack"},
    {"paceline-study-1", "a study", "'paceline sweep FILE' takes it"},
    {"paceline-experiment-1", "an experiment", "'paceline run FILE' and 'compare FILE' take it"},
    {"paceline-result-1", "the result of a run", "'paceline show FILE' and 'plot FILE' take it"},
    {"paceline-comparison-1", "a comparison", "'paceline show FILE' and 'plot FILE' take it"},
    {"paceline-anchors-1", "a set of anchors", "'paceline calibrate transfer --anchors' takes it"},
    {"paceline-gpus-1", "a table of GPUs", "the program has one built in"},
    {"paceline-bounds-1", "the answer of 'paceline bounds'", "it is not read back"},
    {"paceline-complexity-1", "the answer of 'paceline complexity'", "it is not read back"}};

const Kind* kind_of(const std::string& format) {
  const auto found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const Kind& kind) { return format == kind.format; });
  return found == std::end(kKinds) ? nullptr : found;
}

}  // namespace

std::string json_reason(const std::exception& error) {
  const std::string text = error.what();
  const std::size_t end = text.starts_with('[') ? text.find("] ") : std::string::npos;
  return end == std::string::npos ? text : text.substr(end + 2);
}

void expect_format(ObjectReader& reader, const std::string& expected) {
  const std::string format = reader.string("format");
  if (format == expected) return;
  const Kind *found = kind_of(format), *wanted = kind_of(expected);
  if (found != nullptr && wanted != nullptr)
    reader.fail_at("format", fmt::format("this is {} ({}), expected {}; {}", found->name, format,
                                         wanted->name, found->taken_by));
  reader.fail_at("format", unknown_name("value", format, {expected}));
}

}  // namespace paceline
