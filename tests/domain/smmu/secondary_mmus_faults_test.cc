// Faults: by which rule they are judged, and what they map.

#include <algorithm>
#include <vector>

#include "tests/domain/smmu/mmu_testing.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Code = absl::StatusCode;

TEST_F(MmuTest, FaultsByTheIntervalRuleSeeTheirOwnInterval) {
  const auto gpu = Register(Intervals({Pfns(0, 16), Pfns(32, 48)}));
  Resolve(gpu, 1, 3);
  Resolve(gpu, 2, 33);
  const RangeId r1 = Begin(Pfns(0, 4));
  EXPECT_TRUE(Ack(gpu, 4));
  EXPECT_EQ(mmus_.Totals().interval_seq, 3);
  ASSERT_THAT(mmus_.Commit(gpu, 1), IsOk());
  ASSERT_THAT(mmus_.Commit(gpu, 2), IsOk());
  Resolve(gpu, 3, 3);
  const RangeId r2 = Begin(Pfns(20, 30));
  mmus_.EndRange(r1);
  Resolve(gpu, 4, 3);
  EXPECT_EQ(mmus_.Totals().interval_seq, 3);
  mmus_.EndRange(r2);
  EXPECT_EQ(mmus_.Totals().interval_seq, 4);
  Resolve(gpu, 5, 3);
  const RangeId r3 = Begin(Pfns(20, 30));
  EXPECT_EQ(mmus_.Totals().interval_seq, 4);
  ASSERT_THAT(mmus_.Commit(gpu, 5), IsOk());
  mmus_.EndRange(r3);
  EXPECT_EQ(mmus_.Totals().interval_seq, 4);
  Resolve(gpu, 6, 20);
  EXPECT_THAT(
      Inbox(gpu),
      ElementsAre("1 registered 1 0", "2 resolved 1 4099 1",
                  "3 resolved 2 4129 1", "4 begin 1 [0,4)", "5 retry 1 changed",
                  "6 installed 2 33 4129 x1 ro", "7 retry 3 invalidating",
                  "8 end 1 1", "9 retry 4 invalidating", "10 resolved 5 4099 3",
                  "11 installed 5 3 4099 x1 ro", "12 error 6 PFN_NOT_WATCHED"));
}

TEST_F(MmuTest, IntervalsAreEditedWhenTheLastRangeCloses) {
  const auto gpu = Register(Intervals({Pfns(0, 16)}));
  const RangeId open = Begin(Pfns(0, 4));
  ASSERT_THAT(mmus_.Watch(gpu, 1, Pfns(32, 40)), IsOk());
  Fault(gpu, 2, 33);
  Park(gpu, 3, 33);
  Park(gpu, 4, 2);
  ASSERT_THAT(mmus_.Unwatch(gpu, 5, Pfns(0, 16)), IsOk());
  ASSERT_THAT(mmus_.Watch(gpu, 6, Pfns(50, 60)), IsOk());
  ASSERT_THAT(mmus_.Unwatch(gpu, 7, Pfns(50, 60)), IsOk());
  EXPECT_THAT(mmus_.Unwatch(gpu, 8, Pfns(50, 60)),
              IsError(Code::kOutOfRange, Reason::kPfnNotWatched,
                      HasSubstr("[0x32, 0x3c)")));
  EXPECT_TRUE(Ack(gpu, 2));
  mmus_.EndRange(open);
  EXPECT_THAT(
      Inbox(gpu),
      ElementsAre("1 registered 1 0", "2 begin 1 [0,4)", "3 watched 1 deferred",
                  "4 retry 2 invalidating", "5 error 4 PFN_NOT_WATCHED",
                  "6 watched 6 deferred", "7 unwatched 7", "8 end 1 1",
                  "9 unwatched 5", "10 installed 3 33 4129 x1 ro"));
}

TEST_F(MmuTest, AnIntervalThatIsWatchedAgainForgetsOldSamples) {
  const auto gpu = Register(Intervals({Pfns(0, 16)}));
  Resolve(gpu, 1, 3);
  ASSERT_THAT(mmus_.Unwatch(gpu, 2, Pfns(0, 16)), IsOk());
  ASSERT_THAT(mmus_.Watch(gpu, 3, Pfns(0, 16)), IsOk());
  ASSERT_THAT(mmus_.Commit(gpu, 1), IsOk());
  EXPECT_EQ(Inbox(gpu).back(), "5 retry 1 changed");
}

TEST_F(MmuTest, GrantsForWritingAreNotedWhileTheLogIsOn) {
  const auto dma = Register("dma");
  Fault(dma, 1, 1, true);
  mmus_.SetLogging(true);
  EXPECT_TRUE(mmus_.TakeGranted().empty());
  const RangeId r = Begin(kEveryPfn, InvalidateReason::kProtect);
  EXPECT_TRUE(Ack(dma, 3));
  mmus_.EndRange(r);
  EXPECT_THAT(Mapped(dma), ElementsAre("1 x1 ro"));
  EXPECT_THAT(mmus_.CheckAccess(dma, Pfn(1), true),
              IsError(Code::kFailedPrecondition, Reason::kMappingReadOnly,
                      HasSubstr("pfn 0x1")));
  Fault(dma, 2, 1, true);
  Fault(dma, 3, 2);
  EXPECT_THAT(mmus_.WritableIn(nullptr), ElementsAre(Pfns(1, 2)));
  const PfnSet granted = mmus_.TakeGranted();
  EXPECT_EQ(granted.size(), PageCount(1));
  EXPECT_TRUE(granted.Contains(Pfn(1)));
  EXPECT_TRUE(mmus_.TakeGranted().empty());
}

TEST_F(MmuTest, ParkedFaultsAreAnsweredInOrderAfterTheLastEnd) {
  const auto a = Register("a");
  const RangeId first = Begin(Pfns(40, 41));
  const RangeId second = Begin(Pfns(41, 42));
  Park(a, 1, 5);
  Park(a, 2, 80);
  mmus_.EndRange(first);
  EXPECT_THAT(Mapped(a), IsEmpty());
  mmus_.EndRange(second);
  EXPECT_THAT(Inbox(a), ElementsAre("1 registered 1 0", "2 begin 1 [40,41)",
                                    "3 begin 2 [41,42)", "4 end 1 1",
                                    "5 end 2 2", "6 installed 1 5 4101 x1 ro",
                                    "7 not_mapped 2 missing"));
}

TEST_F(MmuTest, FaultsBeyondTheWindowAreThrottled) {
  MmuSpec spec;
  spec.name = "a";
  spec.fault_window = 2;
  const auto a = Register(spec);
  Resolve(a, 1, 1);
  Resolve(a, 2, 2);
  Resolve(a, 3, 3);
  ASSERT_THAT(mmus_.Commit(a, 1), IsOk());
  Resolve(a, 3, 3);
  EXPECT_EQ(Inbox(a).back(), "6 resolved 3 4099 0");
  EXPECT_THAT(mmus_.Fault(a, {2, Pfn(2)}),
              IsError(Code::kFailedPrecondition, Reason::kSecondaryMmuProtocol,
                      HasSubstr("request 2 is in use")));
  EXPECT_EQ(Inbox(a).back(), "7 fenced 2");
}

TEST_F(MmuTest, AheadEndsWhereTheRunOrTheIntervalDoes) {
  words_.Set(Pfn(4), P2mWord::Ram(Mfn(9000)));
  words_.Set(Pfn(20), P2mWord::Identity(Pfn(20)));
  const auto gpu = Register(Intervals({Pfns(0, 16), Pfns(16, 32)}));
  FaultRequest request = {1, Pfn(0), false, 511};
  ASSERT_THAT(mmus_.Fault(gpu, request), IsOk());
  request = {2, Pfn(10), true, 511};
  ASSERT_THAT(mmus_.Fault(gpu, request), IsOk());
  request = {3, Pfn(20)};
  ASSERT_THAT(mmus_.Fault(gpu, request), IsOk());
  EXPECT_THAT(
      Inbox(gpu),
      ElementsAre("1 registered 1 0", "2 installed 1 0 4096 x4 ro",
                  "3 installed 2 10 4106 x6 rw", "4 not_mapped 3 identity"));
}

}  // namespace
}  // namespace simvisor
