#include "client/ui/shortfall_text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor::client {
namespace {

using Shortfall = v1::BalloonShortfall;
using testing::EndsWith;
using testing::HasSubstr;

v1::DomainMemory Make(Shortfall::Cause cause, uint32_t retry_seconds = 0,
                      bool given_up = false) {
  v1::DomainMemory memory;
  Shortfall& shortfall = *memory.mutable_shortfall();
  shortfall.set_cause(cause);
  shortfall.set_retry_seconds(retry_seconds);
  shortfall.set_given_up(given_up);
  return memory;
}

TEST(ShortfallTextTest, EveryCauseOfTheApiHasWordsOfItsOwn) {
  const auto* const causes = Shortfall::Cause_descriptor();
  const std::string unknown =
      ExplainShortfall(Make(Shortfall::CAUSE_UNSPECIFIED, 1));
  for (int i = 1; i < causes->value_count(); ++i) {
    const auto cause =
        static_cast<Shortfall::Cause>(causes->value(i)->number());
    EXPECT_NE(ExplainShortfall(Make(cause, 1)), unknown)
        << causes->value(i)->name();
  }
}

TEST(ShortfallTextTest, NextTryIsNamed) {
  EXPECT_THAT(ExplainShortfall(Make(Shortfall::CAUSE_HOST_FULL, 4)),
              EndsWith("; it tries again within 4 s"));
  EXPECT_THAT(ExplainShortfall(Make(Shortfall::CAUSE_HOST_FULL, 3600, true)),
              EndsWith("given up for an hour, or until its target changes"));
}

TEST(ShortfallTextTest, EmptyBalloonIsNotCuredByMemMax) {
  const std::string text =
      ExplainShortfall(Make(Shortfall::CAUSE_BALLOON_EMPTY, 0, true));
  EXPECT_THAT(text, HasSubstr("no pfns for more pages, which mem-max does not "
                              "change"));
  EXPECT_THAT(text, HasSubstr("created with more memory or maxmem"));
  EXPECT_THAT(text, EndsWith("it has given up until its target changes"));
}

TEST(ShortfallTextTest, LimitIsRaisedByMemMax) {
  EXPECT_THAT(ExplainShortfall(Make(Shortfall::CAUSE_MAX_MEM, 4)),
              HasSubstr("all that its limit allows; mem-max raises it;"));
}

TEST(ShortfallTextTest, PausedGuestWaitsForNoTimer) {
  EXPECT_EQ(ExplainShortfall(Make(Shortfall::CAUSE_NOT_RUNNING)),
            "its guest does not run; it moves when it is unpaused");
}

}  // namespace
}  // namespace simvisor::client
