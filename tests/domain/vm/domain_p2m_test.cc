// Wrong and right changes of a domain's words.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/usual_guest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kArea = 262144;

class DomainP2mTest : public testing::Test {
 protected:
  ~DomainP2mTest() override { ExpectClean(*host_, owned_); }

  absl::StatusOr<RangeChange> Set(uint64_t first, uint64_t count, P2mClass c,
                                  RamPolicy policy, Mfn mfn = Mfn()) {
    return domain_->p2m().SetRange({"set p2m"}, {Pfn(first), PageCount(count)},
                                   c, mfn, policy);
  }
  Mfn MfnAt(uint64_t pfn) { return Mfn(WordOf(*domain_, pfn).Number()); }

  std::unique_ptr<Host> host_ = MakeHost(20000);
  std::shared_ptr<Domain> domain_ =
      MustCreate(*host_, MakeSpec("a", kPages, 4000));
  uint64_t owned_ = kDom0Pages + kPages;
};

TEST_F(DomainP2mTest, RangesThatEndBeforeTheyStartAreRefused) {
  EXPECT_THAT(domain_->p2m().MarkIdentity({"mark identity"}, Pfn(10000),
                                          Pfn(9999), false),
              IsError(Code::kInvalidArgument, Reason::kRangeInvalid,
                      HasSubstr("before it starts")));
  EXPECT_THAT(Set(10000, 0, P2mClass::kMissing, RamPolicy::kRefuse),
              IsError(Code::kInvalidArgument, Reason::kRangeInvalid,
                      HasSubstr("0 pfns")));
}

TEST_F(DomainP2mTest, RangesThatWrapOrLeaveTheAreaAreRefused) {
  EXPECT_THAT(
      domain_->p2m().MarkIdentity({"mark identity"}, Pfn(kArea - 1),
                                  Pfn(kArea + 1), false),
      IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, HasSubstr("0x40000")));
  EXPECT_THAT(domain_->p2m().MarkIdentity({"mark identity"}, Pfn(5),
                                          Pfn(~uint64_t{0} - 1), true),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, testing::_));
  EXPECT_THAT(Set(kArea - 1, 2, P2mClass::kMissing, RamPolicy::kRefuse),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, testing::_));
  EXPECT_THAT(
      Set(5000, ~uint64_t{0} - 4000, P2mClass::kIdentity, RamPolicy::kRelease),
      IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, testing::_));
  EXPECT_THAT(Set(~uint64_t{0}, 1, P2mClass::kIdentity, RamPolicy::kRelease),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, testing::_));
}

TEST_F(DomainP2mTest, RangesOverRamAreRefusedUnlessItsFramesGo) {
  EXPECT_THAT(domain_->p2m().MarkIdentity({"mark identity"}, Pfn(2999),
                                          Pfn(3001), false),
              IsError(Code::kFailedPrecondition, Reason::kPfnHoldsRam,
                      HasSubstr("RAM lies there")));
  EXPECT_THAT(
      Set(2000, 5, P2mClass::kMissing, RamPolicy::kRefuse),
      IsError(Code::kFailedPrecondition, Reason::kPfnHoldsRam, testing::_));
  const auto change = domain_->p2m().MarkIdentity({"mark identity"}, Pfn(2999),
                                                  Pfn(3001), true);
  ASSERT_THAT(change, IsOk());
  EXPECT_EQ(change->marked.value(), 2);
  EXPECT_EQ(change->released.value(), 1);
  EXPECT_EQ(WordOf(*domain_, 2999), P2mWord::Identity(Pfn(2999)));
  EXPECT_EQ(domain_->Info().memory.target.value(), kPages - 1);
  EXPECT_EQ(domain_->Info().memory.balloon.value(), 999);
  owned_ -= 1;
}

TEST_F(DomainP2mTest, RangesOverTheKernelsListAreRefused) {
  for (const bool release : {false, true}) {
    EXPECT_THAT(domain_->p2m().MarkIdentity({"mark identity"}, Pfn(0),
                                            Pfn(kPages), release),
                IsError(Code::kFailedPrecondition, Reason::kPageInUseByKernel,
                        testing::_));
  }
}

TEST_F(DomainP2mTest, FramesMustBeTheDomainsAndInNoWord) {
  const auto other = MustCreate(*host_, MakeSpec("b", 1000));
  owned_ += 1000;
  const Mfn others(WordOf(*other, 500).Number());
  EXPECT_THAT(
      Set(5000, 1, P2mClass::kRam, RamPolicy::kRefuse, others),
      IsError(Code::kFailedPrecondition, Reason::kFrameNotOwned, testing::_));
  EXPECT_THAT(
      Set(5000, 1, P2mClass::kRam, RamPolicy::kRefuse, Mfn(19999)),
      IsError(Code::kFailedPrecondition, Reason::kFrameNotOwned, testing::_));
  EXPECT_THAT(Set(5000, 1, P2mClass::kRam, RamPolicy::kRefuse, MfnAt(2500)),
              IsError(Code::kFailedPrecondition, Reason::kFrameInUse,
                      HasSubstr("pfn 0x9c4")));
  for (const uint64_t mfn : {uint64_t{20000}, ~uint64_t{0}}) {
    EXPECT_THAT(Set(5000, 1, P2mClass::kRam, RamPolicy::kRefuse, Mfn(mfn)),
                IsError(Code::kOutOfRange, Reason::kMfnOutOfRange, testing::_));
  }
}

TEST_F(DomainP2mTest, FramesThatAreKeptCanBeSetElsewhere) {
  const Mfn first = MfnAt(2000);
  ASSERT_THAT(Set(2000, 10, P2mClass::kMissing, RamPolicy::kKeep), IsOk());
  std::vector<FrameRun> runs;
  ASSERT_THAT(host_->LookupFrames({first, PageCount(10)}, 1, runs), IsOk());
  EXPECT_EQ(runs.at(0).frames.count.value(), 10);
  EXPECT_TRUE(runs.at(0).first_pfn.is_none());
  const auto change =
      Set(100000, 10, P2mClass::kRam, RamPolicy::kRefuse, first);
  ASSERT_THAT(change, IsOk());
  EXPECT_EQ(change->p2m_pages.value(), 1);
  EXPECT_EQ(MfnAt(100009), first + PageCount(9));
  runs.clear();
  ASSERT_THAT(host_->LookupFrames({first, PageCount(10)}, 1, runs), IsOk());
  EXPECT_EQ(runs.at(0).first_pfn, Pfn(100000));
}

TEST_F(DomainP2mTest, SetNeedsABootedGuest) {
  const auto built = MustCreate(*host_, MakeSpec("b", 1000), true);
  owned_ += 1000;
  EXPECT_THAT(
      built->p2m().SetRange({"set p2m"}, {Pfn(5), PageCount(1)},
                            P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      IsError(Code::kFailedPrecondition, Reason::kDomainNotBooted, testing::_));
}

TEST_F(DomainP2mTest, MarkBeforeBootIsCutAtTheListAndCountsItsWords) {
  const auto built = MustCreate(*host_, MakeSpec("b", 1001), true);
  const auto change =
      built->p2m().MarkIdentity({"mark identity"}, Pfn(990), Pfn::None(), true);
  ASSERT_THAT(change, IsOk());
  EXPECT_EQ(change->marked.value(), 1024 - 990);
  EXPECT_EQ(change->released.value(), 11);
  EXPECT_THAT(built->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(WordOf(*built, 990), P2mWord::Identity(Pfn(990)));
  EXPECT_EQ(built->p2m()
                .MarkIdentity({"mark identity"}, Pfn(kArea), Pfn(kArea), false)
                ->marked.value(),
            0);
  owned_ += 990;
}

// Whatever may be marked before boot, the guest boots afterwards.
TEST_F(DomainP2mTest, GuestBootsWhateverWasMarkedBefore) {
  int refused = 0, booted = 0;
  for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
    for (const uint64_t memory : {267, 270, 512, 600, 1024, 1100, 1536, 2300}) {
      for (const uint64_t room : {0, 100, 3000}) {
        for (uint64_t keep = 0; keep < 24; ++keep) {
          DomainSpec spec = MakeSpec("b", memory, memory + room);
          spec.arch = arch;
          const auto built = host_->CreateDomain(spec, true, NeverStop);
          if (!built.ok()) continue;
          const Pfn from(256 + keep);
          const auto marked = (*built)->p2m().MarkIdentity(
              {"mark identity"}, from, Pfn::None(), true);
          refused += marked.ok() ? 0 : 1;
          EXPECT_THAT((*built)->Unpause({"unpause"}), IsOk())
              << AbiOf(arch).name << " " << memory << "+" << room << " keeps "
              << keep;
          booted += marked.ok() ? 1 : 0;
          EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
          ASSERT_THAT(host_->DestroyDomain(std::string("b")), IsOk());
        }
      }
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(booted, 0);
}

TEST_F(DomainP2mTest, PartsOfAListAreListedInOrderWithoutGaps) {
  ASSERT_THAT(Set(1000, 100, P2mClass::kMissing, RamPolicy::kRelease), IsOk());
  owned_ -= 100;
  Pfn at(0);
  std::vector<P2mRun> runs;
  uint64_t generation = 1;
  while (at < Pfn(kArea)) {
    const size_t before = runs.size();
    const auto next =
        domain_->p2m().ListRuns(at, Pfn::None(), P2mView::kResolved,
                                RunMerge::kByClass, 1, runs, &generation);
    ASSERT_THAT(next, IsOk());
    ASSERT_EQ(runs.size(), before + 1);
    EXPECT_EQ(runs.back().pfns, ExtentBetween(at, *next));
    at = *next;
  }
  ASSERT_EQ(runs.size(), 5);
  EXPECT_EQ(runs[1].pfns, (PfnExtent{Pfn(1000), PageCount(100)}));
  EXPECT_EQ(runs[4].word.Class(), P2mClass::kIdentity);
  EXPECT_THAT(
      domain_->p2m().ListRuns(Pfn(kArea), Pfn::None(), P2mView::kResolved,
                              RunMerge::kByClass, 1, runs, &generation),
      IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, testing::_));
}

}  // namespace
}  // namespace simvisor
