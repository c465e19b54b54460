#include "client/api/error_lines.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace simvisor::client {
namespace {

TEST(ErrorLinesTest, ErrorsAreCutAndHintsStay) {
  const std::string message =
      "create: a.cfg:1: bad\na.cfg:2: bad\na hint\na.cfg:3: bad\nlast hint";
  EXPECT_EQ(CutErrors(message, 2),
            "create: a.cfg:1: bad\na.cfg:2: bad\n... and 1 more\na hint\nlast "
            "hint");
  EXPECT_EQ(CutErrors(message, 1),
            "create: a.cfg:1: bad\n... and 2 more\na hint\nlast hint");
  EXPECT_EQ(CutErrors(message, 3), message);
}

TEST(ErrorLinesTest, LinesThatNameNoPlaceAreNoErrors) {
  std::string message = "cannot reach [::1]:500: gone";
  for (int i = 0; i < 30; ++i) absl::StrAppend(&message, "\nline ", i, ": x");
  EXPECT_EQ(CutErrors(message, 1), message);
  EXPECT_EQ(CutErrors("", 0), "");
}

}  // namespace
}  // namespace simvisor::client
