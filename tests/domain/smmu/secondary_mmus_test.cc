// Ranges, answers, leases and leaving.

#include <algorithm>
#include <vector>

#include "tests/domain/smmu/mmu_testing.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Code = absl::StatusCode;
using Answers = SecondaryMmus::Answers;

// Answers within its callbacks.
class PromptMmu : public SecondaryMmu {
 public:
  void Begin(const mmu::RangeBegin&) override { ++begins; }
  void Page(const mmu::PageInvalidate&) override { ++pages; }
  void End(RangeId, uint64_t, bool) override { ++ends; }
  PfnSet Young(PfnExtent pfns, bool) override {
    PfnSet young;
    young.Add(pfns);
    return young;
  }
  void Release(const mmu::Release&) override { ++releases; }

  int begins = 0, pages = 0, ends = 0, releases = 0;
};

TEST_F(MmuTest, FaultsByTheGlobalRuleSeeEveryRange) {
  PromptMmu object;
  MmuSpec spec;
  spec.name = "kvm";
  const auto kvm = Register(spec, {nullptr, &object});
  Resolve(kvm, 1, 5);
  ASSERT_THAT(mmus_.Commit(kvm, 1), IsOk());
  Resolve(kvm, 2, 40, true);
  const RangeId r1 = Begin(Pfns(0, 8));
  EXPECT_EQ(mmus_.AnswersTo(r1), Answers::kPending);
  mmus_.CallBack(r1);
  EXPECT_EQ(mmus_.AnswersTo(r1), Answers::kGiven);
  EXPECT_TRUE(gate_.is_open());
  EXPECT_THAT(Mapped(kvm), IsEmpty());
  ASSERT_THAT(mmus_.Commit(kvm, 2), IsOk());
  Resolve(kvm, 3, 40);
  const RangeId r2 = Begin(Pfns(4, 12));
  mmus_.CallBack(r2);
  mmus_.EndRange(r1);
  Resolve(kvm, 4, 5);
  mmus_.EndRange(r2);
  Resolve(kvm, 5, 40, true);
  const RangeId page =
      mmus_.BeginPage(Pfn(6), InvalidateReason::kUnmap, nullptr, now_);
  mmus_.CallBack(page);
  mmus_.EndRange(page);
  ASSERT_THAT(mmus_.Commit(kvm, 5), IsOk());
  Resolve(kvm, 6, 40, true);
  ASSERT_THAT(mmus_.Commit(kvm, 6), IsOk());
  EXPECT_THAT(
      Inbox(kvm),
      ElementsAre("1 registered 1 0", "2 resolved 1 4101 0",
                  "3 installed 1 5 4101 x1 ro", "4 resolved 2 4136 0",
                  "5 begin 1 [0,8)", "6 retry 2 changed",
                  "7 retry 3 invalidating", "8 begin 2 [4,12)", "9 end 1 1",
                  "10 retry 4 invalidating", "11 end 2 2",
                  "12 resolved 5 4136 2", "13 page 3 6", "14 retry 5 changed",
                  "15 resolved 6 4136 3", "16 installed 6 40 4136 x1 rw"));
  mmus_.CallBack(page);
  EXPECT_EQ(object.begins, 2);
  EXPECT_EQ(object.ends, 2);
  EXPECT_EQ(object.pages, 1);
}

TEST_F(MmuTest, ARangeThatIsRefusedIsClosedOnceForAll) {
  const auto fast = Register("fast");
  const auto slow = Register("slow");
  Fault(fast, 1, 31);
  const RangeId r = Begin(Pfns(30, 32), InvalidateReason::kUnmap, false);
  EXPECT_THAT(mmus_.PendingOf(r), ElementsAre("fast", "slow"));
  EXPECT_TRUE(Ack(fast, 3));
  ASSERT_THAT(mmus_.Nack(slow, 2, now_), IsOk());
  EXPECT_EQ(mmus_.AnswersTo(r), Answers::kRefused);
  EXPECT_TRUE(gate_.is_open());
  mmus_.AbortRange(r);
  mmus_.EndRange(r);
  EXPECT_FALSE(Ack(fast, 3));
  EXPECT_THAT(Inbox(fast),
              ElementsAre("1 registered 1 0", "2 installed 1 31 4127 x1 ro",
                          "3 begin 1 [30,32) now", "4 abort 1 1"));
  EXPECT_THAT(Inbox(slow), ElementsAre("1 registered 1 0",
                                       "2 begin 1 [30,32) now", "3 abort 1 1"));
  EXPECT_THAT(Mapped(fast), IsEmpty());
}

TEST_F(MmuTest, AnAnswerAfterAnAbortIsIgnored) {
  const auto id = Register("fast");
  mmus_.AbortRange(Begin(Pfns(30, 32), InvalidateReason::kUnmap, false));
  EXPECT_FALSE(Ack(id, 2));
  EXPECT_THAT(mmus_.Nack(id, 2, now_), IsOk());
}

TEST_F(MmuTest, RefusingAChangeThatWaitsFences) {
  const auto a = Register("a");
  const auto b = Register("b");
  const RangeId r = Begin(Pfns(30, 32));
  EXPECT_THAT(mmus_.Nack(b, 2, now_),
              IsError(Code::kAborted, Reason::kSecondaryMmuFenced,
                      HasSubstr("may not be refused")));
  EXPECT_THAT(mmus_.PendingOf(r), ElementsAre("a"));
  EXPECT_TRUE(Ack(a, 2));
  EXPECT_EQ(mmus_.AnswersTo(r), Answers::kGiven);
  mmus_.EndRange(r);
  EXPECT_EQ(Inbox(b).back(), "3 fenced 2");
  bool over = false;
  EXPECT_THAT(mmus_.TakeMessages(b, 1, &over), IsEmpty());
  EXPECT_TRUE(over);
}

TEST_F(MmuTest, ALeaseDoesNotGrowWhileAnAnswerIsOwing) {
  MmuSpec spec;
  spec.name = "dev";
  spec.lease = absl::Milliseconds(100);
  const auto dev = Register(spec);
  Fault(dev, 1, 31, true);
  now_ += absl::Milliseconds(60);
  EXPECT_GT(mmus_.Expire(now_), now_);
  ASSERT_THAT(mmus_.Renew(dev, 1, now_), IsOk());
  now_ += absl::Milliseconds(60);
  mmus_.Expire(now_);
  const RangeId r = Begin(Pfns(31, 32));
  ASSERT_THAT(mmus_.Renew(dev, 2, now_), IsOk());
  now_ += absl::Milliseconds(39);
  EXPECT_EQ(mmus_.Expire(now_), now_ + absl::Milliseconds(1));
  EXPECT_FALSE(gate_.is_open());
  now_ += absl::Milliseconds(1);
  EXPECT_EQ(mmus_.Expire(now_), absl::InfiniteFuture());
  EXPECT_TRUE(gate_.is_open());
  mmus_.EndRange(r);
  EXPECT_THAT(mmus_.CheckAccess(dev, Pfn(31), true),
              IsError(Code::kAborted, Reason::kSecondaryMmuFenced,
                      HasSubstr("web (3): access of subscription 1")));
  EXPECT_THAT(mmus_.Ack(dev, 4, now_),
              IsError(Code::kAborted, Reason::kSecondaryMmuFenced, testing::_));
  EXPECT_THAT(
      Inbox(dev),
      ElementsAre("1 registered 1 0", "2 installed 1 31 4127 x1 rw",
                  "3 renewed", "4 begin 1 [31,32)", "5 kept", "6 fenced 0"));
  EXPECT_EQ(mmus_.Totals().fences, 1);
  EXPECT_FALSE(mmus_.any());
}

TEST_F(MmuTest, AnsweringTheLastEventBeginsALease) {
  MmuSpec spec;
  spec.name = "dev";
  spec.lease = absl::Milliseconds(100);
  const auto dev = Register(spec);
  const RangeId first = Begin(Pfns(1, 2));
  const RangeId second = Begin(Pfns(3, 4));
  now_ += absl::Milliseconds(50);
  EXPECT_TRUE(Ack(dev, 2));
  EXPECT_EQ(mmus_.Expire(now_), now_ + absl::Milliseconds(50));
  EXPECT_TRUE(Ack(dev, 3));
  EXPECT_EQ(mmus_.Expire(now_), now_ + absl::Milliseconds(100));
  mmus_.EndRange(first);
  mmus_.EndRange(second);
}

TEST_F(MmuTest, LeavingCountsAsEveryAnswer) {
  const auto a = Register("a");
  const auto b = Register("b");
  Fault(a, 1, 31);
  const RangeId r = Begin(Pfns(31, 32));
  mmus_.Unregister(a);
  EXPECT_THAT(mmus_.PendingOf(r), ElementsAre("b"));
  EXPECT_THAT(Mapped(a), IsEmpty());
  EXPECT_THAT(mmus_.Ack(a, 3, now_),
              IsError(Code::kFailedPrecondition,
                      Reason::kSecondaryMmuNotAttached, testing::_));
  mmus_.Unregister(a);
  mmus_.Unregister(SubscriptionId{99});
  mmus_.Unregister(b);
  EXPECT_EQ(mmus_.AnswersTo(r), Answers::kGiven);
  mmus_.EndRange(r);
  EXPECT_THAT(Inbox(b), ElementsAre("1 registered 1 0", "2 begin 1 [31,32)",
                                    "3 unregistered"));
  mmus_.Forget(b);
  bool over = false;
  mmus_.TakeMessages(b, 1, &over);
  EXPECT_TRUE(over);
}

TEST_F(MmuTest, ACallbackThatRetiresItsSubscriptionIsTheLast) {
  struct Retiring : PromptMmu {
    void Begin(const mmu::RangeBegin&) override {
      mmus->Retire(id);
      ++begins;
    }
    SecondaryMmus* mmus = nullptr;
    SubscriptionId id{};
  } object;
  MmuSpec spec;
  spec.name = "kvm";
  object.id = Register(spec, {nullptr, &object});
  object.mmus = &mmus_;
  const RangeId r = Begin(Pfns(0, 1));
  mmus_.CallBack(r);
  EXPECT_EQ(mmus_.AnswersTo(r), Answers::kGiven);
  mmus_.EndRange(r);
  mmus_.CallBack(r);
  mmus_.Unregister(object.id);
  EXPECT_EQ(object.begins, 1);
  EXPECT_EQ(object.ends, 0);
  EXPECT_EQ(Inbox(object.id).back(), "3 unregistered");
}

TEST_F(MmuTest, ReleaseClosesEveryRangeAndFailsFaults) {
  PromptMmu object;
  MmuSpec spec;
  spec.name = "kvm";
  Register(spec, {nullptr, &object});
  const auto a = Register("a");
  const auto b = Register("b");
  Fault(a, 1, 7);
  Resolve(b, 2, 6);
  const RangeId r = Begin(Pfns(6, 8));
  Park(b, 3, 6);
  ChangeGate released;
  mmus_.Release(ReleaseReason::kDestroyed, "", &released, now_);
  EXPECT_EQ(mmus_.AnswersTo(r), Answers::kClosed);
  EXPECT_TRUE(gate_.is_open());
  ASSERT_THAT(mmus_.Commit(b, 2), IsOk());
  Fault(b, 4, 6);
  mmus_.CallBackRelease();
  EXPECT_EQ(object.releases, 1);
  EXPECT_TRUE(Ack(a, 4));
  EXPECT_FALSE(released.is_open());
  EXPECT_EQ(mmus_.Totals().seq, 1);
  EXPECT_TRUE(mmus_.Fence(b, FenceCause::kLease));
  EXPECT_TRUE(released.is_open());
  EXPECT_THAT(Inbox(a),
              ElementsAre("1 registered 1 0", "2 installed 1 7 4103 x1 ro",
                          "3 begin 1 [6,8)", "4 release 0"));
  EXPECT_THAT(Inbox(b), ElementsAre("1 registered 1 0", "2 resolved 2 4102 0",
                                    "3 begin 1 [6,8)", "4 error 3 DOMAIN_DYING",
                                    "5 release 0", "6 error 2 DOMAIN_DYING",
                                    "7 error 4 DOMAIN_DYING", "8 fenced 0"));
}

TEST_F(MmuTest, AChangeAfterAReleaseWaitsForMappingsThatAreStillThere) {
  const auto a = Register("a");
  Fault(a, 1, 7);
  mmus_.Release(ReleaseReason::kShutdown, "", nullptr, now_);
  const RangeId elsewhere = Begin(Pfns(20, 21));
  EXPECT_EQ(mmus_.AnswersTo(elsewhere), Answers::kGiven);
  mmus_.EndRange(elsewhere);
  gate_.Close();
  const RangeId r = Begin(Pfns(7, 8));
  EXPECT_EQ(mmus_.AnswersTo(r), Answers::kPending);
  EXPECT_TRUE(Ack(a, 3));
  EXPECT_TRUE(gate_.is_open());
  mmus_.EndRange(r);
}

TEST_F(MmuTest, ARangeOfManyExtentsComesInPieces) {
  const auto a = Register("a");
  std::vector<PfnExtent> extents;
  for (uint64_t i = 0; i < 1025; ++i) extents.push_back(Pfns(2 * i, 2 * i + 1));
  const RangeId r =
      mmus_.BeginRange(extents, InvalidateReason::kUnmap, true, nullptr, now_);
  EXPECT_FALSE(Ack(a, 2));
  EXPECT_TRUE(Ack(a, 3));
  mmus_.EndRange(r);
  EXPECT_THAT(Inbox(a),
              ElementsAre("1 registered 1 0", "2 begin 1 of 1024 more",
                          "3 begin 1 [2048,2049)", "4 end 1 1"));
}

TEST_F(MmuTest, WithTheFilterMappedOnlyMappingsAreToldOf) {
  MmuSpec spec;
  spec.name = "map";
  spec.events = EventFilter::kMapped;
  const auto map = Register(spec);
  Fault(map, 1, 5);
  mmus_.EndRange(Begin(Pfns(6, 9)));
  mmus_.EndRange(Begin(Pfns(5, 6), InvalidateReason::kProtect));
  const RangeId r = Begin(Pfns(5, 6));
  EXPECT_TRUE(Ack(map, 3));
  mmus_.EndRange(r);
  EXPECT_THAT(Inbox(map),
              ElementsAre("1 registered 1 0", "2 installed 1 5 4101 x1 ro",
                          "3 begin 3 [5,6)", "4 end 3 3"));
}

TEST_F(MmuTest, AResumedStreamGoesOnAfterTheLastMessageThatItSaw) {
  MmuSpec spec;
  spec.name = "dev";
  spec.resumable = true;
  const auto dev = Register(spec);
  Fault(dev, 1, 5);
  Resolve(dev, 2, 6);
  bool over = false;
  const auto first = mmus_.TakeMessages(dev, 1, &over);
  const auto token = std::get<mmu::Registered>(first.front().body).token;
  Inbox(dev);
  mmus_.Detach(dev, now_);
  const RangeId r = Begin(Pfns(5, 6));
  const Context context(domain_, "resumption");
  EXPECT_THAT(
      mmus_.Reattach(context, dev, "guess", 2, nullptr, now_),
      IsError(Code::kNotFound, Reason::kSecondaryMmuNotFound, testing::_));
  EXPECT_THAT(mmus_.Reattach(context, dev, token, 9, nullptr, now_),
              IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                      HasSubstr("message 9")));
  ASSERT_THAT(mmus_.Reattach(context, dev, token, 1, nullptr, now_), IsOk());
  ASSERT_THAT(mmus_.Commit(dev, 2), IsOk());
  EXPECT_TRUE(Ack(dev, 4));
  mmus_.EndRange(r);
  EXPECT_THAT(Inbox(dev),
              ElementsAre("1 resumed", "2 installed 1 5 4101 x1 ro",
                          "3 resolved 2 4102 0", "4 begin 1 [5,6)",
                          "5 error 2 FAULT_NOT_FOUND", "6 end 1 1"));
}

TEST_F(MmuTest, SilenceCountsAsYoung) {
  const auto a = Register("a");
  const auto b = Register("b");
  const auto c = Register("c");
  Fault(a, 1, 5);
  Fault(b, 1, 6);
  Fault(c, 1, 7);
  ChangeGate gate;
  const uint64_t question = mmus_.accessed().AskYoung(Pfns(0, 16), true, &gate);
  const std::vector<PfnExtent> young = {Pfns(5, 6)};
  ASSERT_THAT(mmus_.accessed().AnswerYoung(a, 3, young), IsOk());
  mmus_.Fence(b, FenceCause::kOperator);
  EXPECT_FALSE(gate.is_open());
  mmus_.Unregister(c);
  EXPECT_TRUE(gate.is_open());
  const auto answer = mmus_.accessed().EndYoung(question);
  EXPECT_EQ(answer.asked, 3);
  EXPECT_EQ(answer.silent, 1);
  EXPECT_EQ(answer.young.size(), PageCount(2));
  EXPECT_TRUE(answer.young.Contains(Pfn(6)));
}

}  // namespace
}  // namespace simvisor
