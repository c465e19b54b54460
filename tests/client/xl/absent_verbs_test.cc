#include "client/xl/absent_verbs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace simvisor::client {
namespace {

using testing::HasSubstr;

TEST(AbsentVerbsTest, VerbsOfXlSayWhatToUse) {
  EXPECT_THAT(std::string(WhyAbsent("shutdown")), HasSubstr("destroy"));
  EXPECT_THAT(std::string(WhyAbsent("vcpu-set")), HasSubstr("vcpus="));
  EXPECT_THAT(std::string(WhyAbsent("claims")), HasSubstr("info"));
  EXPECT_THAT(std::string(WhyAbsent("vm-list")), HasSubstr("list -v"));
}

TEST(AbsentVerbsTest, VerbsOfAGroupHaveOneReason) {
  EXPECT_NE(WhyAbsent("network-attach"), "");
  EXPECT_EQ(WhyAbsent("network-attach"), WhyAbsent("block-list"));
  EXPECT_EQ(WhyAbsent("sched-credit2"), WhyAbsent("sched-rtds"));
}

TEST(AbsentVerbsTest, AbbreviationOfOneVerbIsThatVerb) {
  EXPECT_EQ(FindAbsent("cons"), "console");
  EXPECT_EQ(FindAbsent("console"), "console");
  EXPECT_EQ(FindAbsent("network-attach"), "network-attach");
  EXPECT_EQ(FindAbsent("t"), "") << "top or trigger";
  EXPECT_EQ(FindAbsent("network"), "") << "several of a group";
  EXPECT_EQ(FindAbsent("consoles"), "");
}

TEST(AbsentVerbsTest, OtherWordsAreNotVerbsOfXl) {
  for (const char* word : {"", "network", "list", "mem-set", "shut", "xl"}) {
    EXPECT_EQ(WhyAbsent(word), "") << word;
  }
}

}  // namespace
}  // namespace simvisor::client
