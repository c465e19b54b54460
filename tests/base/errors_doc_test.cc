// Checks docs/errors.md against the reasons and facts of the library.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

struct Row {
  std::string reason;
  std::vector<std::string> cells;
};

// Rows of the tables whose first cell is a name in backquotes.
std::vector<Row> ReadTables() {
  std::ifstream file("docs/errors.md");
  std::vector<Row> rows;
  std::string line;
  while (std::getline(file, line)) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, "| `")) continue;
    Row row;
    for (absl::string_view cell : absl::StrSplit(rest, '|')) {
      row.cells.emplace_back(absl::StripAsciiWhitespace(cell));
    }
    row.reason = std::string(absl::StripSuffix(row.cells.front(), "`"));
    rows.push_back(row);
  }
  return rows;
}

// The table of reasons, whose names are in capitals.
std::vector<Row> ReadTable() {
  std::vector<Row> rows = ReadTables();
  rows.erase(std::remove_if(rows.begin(), rows.end(),
                            [](const Row& row) {
                              return absl::ascii_islower(row.reason[0]);
                            }),
             rows.end());
  return rows;
}

TEST(ServerErrorsDocTest, EveryFactHasOneRowBeforeTheReasons) {
  const std::vector<Row> rows = ReadTables();
  ASSERT_GE(rows.size(), std::size(fact::kAll));
  for (size_t i = 0; i < std::size(fact::kAll); ++i) {
    EXPECT_EQ(rows[i].reason, fact::kAll[i]);
  }
  EXPECT_FALSE(absl::ascii_islower(rows[std::size(fact::kAll)].reason[0]));
}

TEST(ServerErrorsDocTest, EveryReasonHasOneRowInOrder) {
  std::vector<std::string> documented;
  for (const Row& row : ReadTable()) documented.push_back(row.reason);
  std::vector<std::string> names;
  for (const Reason reason : AllReasons()) {
    names.emplace_back(ReasonName(reason));
  }
  EXPECT_THAT(documented, testing::UnorderedElementsAreArray(names));
  EXPECT_TRUE(std::is_sorted(documented.begin(), documented.end()));
}

TEST(ServerErrorsDocTest, RowsAreComplete) {
  for (const Row& row : ReadTable()) {
    // Name, code, meaning, next step, and the text after the last bar.
    ASSERT_EQ(row.cells.size(), 5u) << row.reason;
    for (int i = 1; i <= 3; ++i) EXPECT_NE(row.cells[i], "") << row.reason;
  }
}

// An injected fault may have any code.
TEST(ServerErrorsDocTest, CodesAreCanonical) {
  const std::vector<std::string> canonical = {
      "CANCELLED", "INVALID_ARGUMENT",    "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS",      "RESOURCE_EXHAUSTED",
      "ABORTED",   "FAILED_PRECONDITION", "OUT_OF_RANGE",
      "INTERNAL",  "PERMISSION_DENIED",   "UNAVAILABLE",
      "any"};
  for (const Row& row : ReadTable()) {
    ASSERT_GE(row.cells.size(), 2u) << row.reason;
    for (absl::string_view code : absl::StrSplit(row.cells[1], ", ")) {
      EXPECT_THAT(canonical, testing::Contains(std::string(code)))
          << row.reason;
    }
  }
}

}  // namespace
}  // namespace simvisor
