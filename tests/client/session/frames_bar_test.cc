#include "client/session/frames_bar.h"

#include <cstdint>
#include <optional>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/client/verbs/fake_daemon.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

class FramesBarTest : public testing::Test {
 protected:
  // Makes a bar on a terminal, and removes it; returns the pages that make it
  // full, nullopt if it has not asked for them.
  std::optional<uint64_t> PagesOfBar(const CallLimits& limits) {
    std::ostringstream terminal;
    Session session(
        {.out = terminal, .err = terminal, .err_is_terminal = true});
    session.options().address = address_;
    const auto target = session.Open("web");
    EXPECT_TRUE(target.ok()) << target.status();
    std::optional<uint64_t> pages;
    const FramesBar bar(session, target->client, "mem-set", limits,
                        [&](const CallLimits& of_call) {
                          pages = CurrentPages(*target, of_call);
                          return *pages;
                        });
    return pages;
  }

  const ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDaemon daemon_{address_};
};

TEST_F(FramesBarTest, CallThatIsNotAnsweredEndsWithTheCommand) {
  daemon_.Ignore("GetHost");
  EXPECT_EQ(PagesOfBar({.must_end = [] { return true; }}), std::nullopt);
}

TEST_F(FramesBarTest, CallThatIsNotAnsweredDoesNotHoldUpTheCommand) {
  daemon_.Answer("GetHost");
  daemon_.Ignore("GetDomain");
  EXPECT_EQ(PagesOfBar({}).value_or(0), 0);
}

}  // namespace
}  // namespace simvisor::client
