#include "client/ui/similar_word.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace simvisor::client {
namespace {

const std::vector<std::string> kVerbs = {"list", "destroy", "mem-set",
                                         "mem-max"};

TEST(SimilarWordTest, OneTypingErrorIsForgiven) {
  for (const char* word : {"lst", "lisst", "lizt", "lsit"}) {
    EXPECT_EQ(FindSimilar(word, kVerbs), "list") << word;
  }
}

TEST(SimilarWordTest, LongerWordsMayHaveMoreErrors) {
  EXPECT_EQ(FindSimilar("dsetory", kVerbs), "destroy");
  EXPECT_EQ(FindSimilar("mem-sett", kVerbs), "mem-set");
  EXPECT_EQ(FindSimilar("memmax", kVerbs), "mem-max");
}

TEST(SimilarWordTest, OtherWordsAreNotGuessed) {
  for (const std::string& word :
       {std::string(), std::string("x"), std::string("shutdown"),
        std::string("lisping"), std::string(100000, 'l')}) {
    EXPECT_EQ(FindSimilar(word, kVerbs), "") << word.substr(0, 20);
  }
  EXPECT_EQ(FindSimilar("list", {}), "");
}

}  // namespace
}  // namespace simvisor::client
