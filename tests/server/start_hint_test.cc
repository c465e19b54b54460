#include "server/start_hint.h"

#include <sys/stat.h>

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ServerStartHintTest, DefaultAddressNeedsNoOption) {
  const std::string hint = StartHint("simvisord", "");
  EXPECT_THAT(hint, HasSubstr("\n  simvisor list\n"));
  // Tests run from the project's root.
  EXPECT_THAT(hint, HasSubstr("\n  simvisor create examples/small.cfg\n"));
}

TEST(ServerStartHintTest, AnotherAddressIsQuotedForTheShell) {
  EXPECT_THAT(StartHint("simvisord", "unix:/tmp/a.sock"),
              HasSubstr("\n  simvisor --address unix:/tmp/a.sock list\n"));
  EXPECT_THAT(StartHint("simvisord", "unix:/tmp/it's here"),
              HasSubstr("simvisor --address 'unix:/tmp/it'\\''s here' list"));
  EXPECT_THAT(StartHint("simvisord", "[::1]:80"),
              HasSubstr("simvisor --address '[::1]:80' list"));
}

TEST(ServerStartHintTest, CliNextToTheDaemonIsNamedByItsPath) {
  const ScopedFolder folder;
  const std::string daemon = folder / "simvisord";
  const std::string cli = folder / "simvisor";
  EXPECT_THAT(StartHint(daemon, ""), HasSubstr("\n  simvisor list\n"));
  std::ofstream(cli) << "#!/bin/sh\n";
  ASSERT_EQ(chmod(cli.c_str(), 0700), 0);
  EXPECT_THAT(StartHint(daemon, ""), HasSubstr("\n  " + cli + " list\n"));
}

TEST(ServerStartHintTest, LongListsOfNamesAreCutShort) {
  EXPECT_EQ(ListNames({"a (1)"}, 2), "a (1)");
  EXPECT_EQ(ListNames({"a (1)", "b (2)"}, 2), "a (1), b (2)");
  EXPECT_EQ(ListNames({"a (1)", "b (2)", "c (3)"}, 2),
            "a (1), b (2) and 1 more");
}

}  // namespace
}  // namespace simvisor::server
