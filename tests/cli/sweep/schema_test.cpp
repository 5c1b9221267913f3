// The schemas of `paceline schema` against the files that the readers take, and files that they do not.
#include "tests/cli/cli.hpp"

namespace paceline {
namespace {

class Schema : public Cli {};

const char* const kFormats[]{"experiment", "cluster", "stack", "model", "profile", "study"};

// Every "properties" of an object schema, with the keys that must be there.
void each_object(const Json& schema, const std::function<void(const Json&)>& visit) {
  if (!schema.is_object() && !schema.is_array()) return;
  if (schema.is_object() && schema.contains("properties")) visit(schema);
  for (const auto& item : schema.items()) each_object(item.value(), visit);
}

TEST_F(Schema, SaysWhatAnEditorNeeds) {
  for (const std::string format : kFormats) {
    SCOPED_TRACE(format);
    const Outcome outcome = paceline("schema " + format);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const Json schema = Json::parse(outcome.out);
    EXPECT_EQ(schema.at("$schema"), "http://json-schema.org/draft-07/schema#");
    EXPECT_EQ(schema.at("properties").at("format"), (Json{{"const", "paceline-" + format + "-1"}}));
    std::size_t objects = 0;
    each_object(schema, [&](const Json& object) {
      ++objects;
      for (const Json& key : object.value("required", Json::array()))
        EXPECT_TRUE(object.at("properties").contains(key.get<std::string>())) << key;
    });
    EXPECT_GE(objects, 1U);
  }
  const Json cluster = Json::parse(paceline("schema paceline-cluster-1").out);
  const Json& node = cluster.at("properties").at("nodes").at("items").at("properties");
  EXPECT_EQ(node.at("count").at("type"), "integer");
  for (const char* key : {"gpu", "pcie", "nvlink", "host", "price", "power", "roots"})
    EXPECT_TRUE(node.contains(key)) << key;
  EXPECT_EQ(cluster.at("properties").at("network").at("properties").at("bandwidth").at("type"),
            "string");
  refuses("schema clusters", "did you mean 'cluster'");
}

TEST_F(Schema, CompletionAndManualNameEveryCommand) {
  const std::string bash = paceline("completion bash").out, fish = paceline("completion fish").out,
                    man = paceline("man").out;
  for (const char* command : {"run", "compare", "sweep", "query", "report", "schema"}) {
    EXPECT_THAT(bash, HasSubstr(std::string("    ") + command + ") words="));
    EXPECT_THAT(fish, HasSubstr(std::string("-a ") + command + " -d"));
    EXPECT_THAT(man, HasSubstr(std::string(".SS ") + command + "\n"));
  }
  const auto completed = [&](const std::string& words, int at) {
    write("complete.sh", bash + "COMP_WORDS=(" + words + ")\nCOMP_CWORD=" + std::to_string(at) +
                             "\n_paceline\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
    return shell("bash complete.sh").out;
  };
  EXPECT_EQ(completed("paceline com", 1), "compare\ncomplexity\ncompare-trace\ncompletion\n");
  EXPECT_THAT(completed("paceline run --lay", 2), HasSubstr("--layers\n"));
  EXPECT_EQ(completed("paceline run -m resnet5", 3), "resnet50\n");
  EXPECT_THAT(completed("paceline sweep network", 2), HasSubstr("network-1-to-400g\n"));
  refuses("completion csh", "unknown shell 'csh'");
}

}  // namespace
}  // namespace paceline
