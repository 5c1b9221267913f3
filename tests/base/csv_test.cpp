#include "base/csv.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Csv, ReadsWhatIsWritten) {
  const std::vector<std::vector<std::string>> rows{{"plain", "two words"},
                                                   {"1,5", "say \"hello\""},
                                                   {"two\nlines", " blanks \t, in quotes "},
                                                   {"\"", "\r\n"},
                                                   {" ends in blanks ", "\"\",\"\""}};
  std::string text = csv_line({"name", "with, comma"});
  for (const auto& row : rows) text += csv_line(row);
  const CsvTable table(text, "written");
  ASSERT_EQ(table.rows(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(table.text(i, "name"), rows[i][0]) << i;
    EXPECT_EQ(table.text(i, "with, comma"), rows[i][1]) << i;
  }
}

TEST(Csv, LinesAreThoseOfTheFile) {
  const CsvTable table("a,b\r\n\"1\n2\",3\r\n\r\n  4 , \" 5 \" \r\n6,7", "f");
  ASSERT_EQ(table.rows(), 3U);
  EXPECT_EQ(table.line(0), 2U);
  EXPECT_EQ(table.line(1), 5U);
  EXPECT_EQ(table.text(1, "a"), "4");
  EXPECT_EQ(table.text(1, "b"), " 5 ");
  EXPECT_EQ(table.number(1, "b"), 5);
  EXPECT_EQ(table.number(2, "b"), 7);
}

TEST(Csv, RefusesWhatHasNoEnd) {
  EXPECT_THAT([] { CsvTable("a,b\n1,2\n\"3,4\n5,6\n", "f"); },
              ThrowsMessage<InputError>(HasSubstr("f:3: a quote is not closed")));
  EXPECT_THAT([] { CsvTable("a,b\n\"1\n2\"\n", "f"); },
              ThrowsMessage<InputError>(HasSubstr("f:2: 1 fields, but the header has 2")));
  EXPECT_THAT([] { CsvTable("", "f"); }, ThrowsMessage<InputError>(HasSubstr("is empty")));
}

}  // namespace
}  // namespace paceline
