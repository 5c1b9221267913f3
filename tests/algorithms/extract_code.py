"""Makes a program of a page of the guide: extract_code.py PAGE SOURCE_DIR INTO

Blocks "```cpp file NAME" (or cmake) become INTO/NAME, those of one name one after the other. Blocks "```cpp from
PATH" must stand in that file of the source, word for word (indentation aside). Blocks "```json schedule"
become INTO/examples_test.cpp, which makes their schedules. INTO/registry.cpp is the registry with the page's
entry declared and in the list, as the page says.
"""
import pathlib
import re
import sys

TEST_START = """#include <gtest/gtest.h>

#include "base/json.hpp"
#include "tests/algorithms/simulated.hpp"

namespace paceline {
namespace {

using namespace simulated;

"""
EXAMPLE = """TEST(PageExample, Makes{number}) {{
  const Json json = parse_json(R"json({json})json", "{page}");
  Json options = json.at("schedule");
  const std::string name = options.at("name");
  options.erase("name");  // they stand beside it
  EXPECT_EQ(make_schedule(name, options, random_model(1, 9)).name, name);
}}
"""
TEST_END = """
}  // namespace
}  // namespace paceline
"""


def squeeze(code):
    return re.sub(r"\s+", " ", code).strip()


def main(page, source, into):
    text = pathlib.Path(page).read_text()
    files, quotes = {}, 0
    for kind, name, body in re.findall(r"^```(?:cpp|cmake) (file|from) (\S+)\n(.*?)^```$", text, re.M | re.S):
        if kind == "file":
            files[name] = files.get(name, "") + body + "\n"
            continue
        quotes += 1
        if squeeze(body) not in squeeze((source / name).read_text()):
            sys.exit(f"{page}: the block quoted from {name} does not stand there:\n{body}")
    examples = re.findall(r"^```json schedule\n(.*?)^```$", text, re.M | re.S)
    if not files or not quotes or not examples:
        sys.exit(f"{page}: no code found")
    files["examples_test.cpp"] = "\n".join(
        EXAMPLE.format(number=number, json=example.strip(), page=pathlib.Path(page).name)
        for number, example in enumerate(examples, 1))

    registry = (source / "algorithms/registry.cpp").read_text()
    for entry in re.findall(r"extern const ScheduleEntry (\w+)\{", "".join(files.values())):
        registry = registry.replace("extern const", f"extern const ScheduleEntry {entry};\nextern const", 1)
        registry, count = re.subn(r"(\ball\{[^}]*)\}", rf"\1, {entry}}}", registry, count=1)
        if count != 1:
            sys.exit("algorithms/registry.cpp: no list of entries found")
    files["registry.cpp"] = registry

    into.mkdir(parents=True, exist_ok=True)
    for name, code in files.items():
        (into / name).write_text(TEST_START + code + TEST_END if name.endswith("_test.cpp") else code)


main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
