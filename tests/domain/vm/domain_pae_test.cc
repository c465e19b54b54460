// 32-bit PAE domains: their limits, and the frames that they can reach.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

// Frames below 128 GiB.
constexpr uint64_t kLowFrames = uint64_t{1} << 25;

DomainSpec PaeSpec(absl::string_view name, uint64_t memory,
                   uint64_t max_memory = 0) {
  DomainSpec spec = MakeSpec(name, memory, max_memory);
  spec.arch = Arch::kX86_32Pae;
  return spec;
}

// The highest frame of a domain's RAM words.
Mfn HighestFrame(Domain& domain) {
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  EXPECT_THAT(
      domain.p2m().ListRuns(Pfn(0), Pfn::None(), P2mView::kResolved,
                            RunMerge::kByFrame, 1 << 20, runs, &generation),
      IsOk());
  Mfn highest(0);
  for (const P2mRun& run : runs) {
    if (run.word.Class() != P2mClass::kRam) continue;
    highest = std::max(highest,
                       Mfn(run.word.Number()) + run.pfns.count - PageCount(1));
  }
  return highest;
}

TEST(DomainPaeTest, BootsBalloonsAndGoes) {
  const auto host = MakeHost(40000);
  const auto domain = MustCreate(*host, PaeSpec("a", 5000, 6000));
  EXPECT_EQ(domain->Info().arch, Arch::kX86_32Pae);
  const auto report = domain->p2m().Summary();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->summary.p2m_size, uint64_t{1} << 20);
  EXPECT_EQ(report->summary.ram, 5000);
  EXPECT_EQ(report->summary.missing, 1000);
  EXPECT_EQ(report->summary.pte_frames, 2);
  EXPECT_THAT(domain->balloon().Down({"balloon down"}, PageCount(2500), false),
              IsOk());
  EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(2600), false),
              IsOk());
  ExpectClean(*host, kDom0Pages + 5100);
  ASSERT_THAT(host->DestroyDomain(domain->id()), IsOk());
  ExpectClean(*host, kDom0Pages);
}

TEST(DomainPaeTest, MoreThan64GiBIsRefused) {
  constexpr uint64_t kMost = uint64_t{1} << 24;
  const auto host = MakeHost(100 * kPagesPerGiB);
  EXPECT_THAT(host->CreateDomain(PaeSpec("a", kMost + 1), false, NeverStop),
              IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
                      HasSubstr("x86_32_pae")));
  EXPECT_THAT(
      host->CreateDomain(PaeSpec("a", 5000, kMost + 1), false, NeverStop),
      IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
              HasSubstr("x86_32_pae")));
  DomainSpec mapped = PaeSpec("a", 5000);
  mapped.e820 = MakeMap({Ram(0, kGiB), Ram(64 * kGiB, 65 * kGiB)});
  EXPECT_THAT(host->CreateDomain(mapped, false, NeverStop),
              IsError(Code::kInvalidArgument, Reason::kE820Malformed,
                      HasSubstr("pfn 0x1040000")));
  const auto domain = MustCreate(*host, PaeSpec("a", kMost));
  EXPECT_EQ(domain->p2m().Summary()->summary.ram, kMost);
  EXPECT_THAT(domain->balloon().SetMaximum({"set maximum memory"},
                                           PageCount(kMost + 1)),
              IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
                      HasSubstr("16777216")));
  EXPECT_THAT(
      domain->balloon().SetMaximum({"set maximum memory"}, PageCount(kMost)),
      IsOk());
  ExpectClean(*host, kDom0Pages + kMost);
}

TEST(DomainPaeTest, FrameNumbersThatAWordCannotHoldAreRefused) {
  const auto host = MakeHost(40000);
  const auto domain = MustCreate(*host, PaeSpec("a", 5000, 6000));
  for (const uint64_t mfn :
       {uint64_t{1} << 30, (uint64_t{1} << 30) - 1, ~uint64_t{0}}) {
    EXPECT_THAT(
        domain->p2m().SetRange({"set p2m"}, {Pfn(5500), PageCount(2)},
                               P2mClass::kRam, Mfn(mfn), RamPolicy::kRefuse),
        IsError(Code::kOutOfRange, Reason::kMfnNotAddressable,
                HasSubstr("x86_32_pae guest holds frame numbers below "
                          "0x40000000")));
  }
  EXPECT_THAT(domain->p2m().SetRange({"set p2m"}, {Pfn(5500), PageCount(2)},
                                     P2mClass::kRam, Mfn((1 << 30) - 2),
                                     RamPolicy::kRefuse),
              IsError(Code::kOutOfRange, Reason::kMfnOutOfRange, testing::_));
  EXPECT_THAT(
      domain->p2m().SetRange({"set p2m"}, {Pfn(1 << 30), PageCount(1)},
                             P2mClass::kIdentity, Mfn(), RamPolicy::kRefuse),
      IsError(Code::kOutOfRange, Reason::kPfnOutOfRange, testing::_));
}

// dom0 is 64-bit and takes the lowest frames, even if others need them.
TEST(DomainPaeTest, OnALargeMachineFramesEndAt128GiB) {
  for (const Placement placement : {Placement::kLowest, Placement::kScatter}) {
    const auto host = MakeHost(167 * kPagesPerGiB, placement);
    const auto domain = MustCreate(*host, PaeSpec("a", 5000, 6000));
    EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(200), true),
                IsOk());
    EXPECT_LT(HighestFrame(*domain), Mfn(kLowFrames));
    ExpectClean(*host, kDom0Pages + 5200);
  }
}

TEST(DomainPaeTest, AMachineWithin166GiBIsReachedAltogether) {
  const auto host = MakeHost(166 * kPagesPerGiB);
  ASSERT_EQ(host->max_mfn(), Mfn(43515904));
  MustCreate(*host, MakeSpec("low", kLowFrames));
  const auto domain = MustCreate(*host, PaeSpec("a", 5000));
  EXPECT_GE(HighestFrame(*domain), Mfn(kLowFrames));
  ExpectClean(*host, kDom0Pages + kLowFrames + 5000);
}

TEST(DomainPaeTest, HighFramesAloneDoNotMakeA32BitGuest) {
  const auto host = MakeHost(200 * kPagesPerGiB);
  const uint64_t low_free = kLowFrames - 256 - kDom0Pages;
  const auto hog = MustCreate(*host, MakeSpec("hog", low_free - 6000));
  const auto domain = MustCreate(*host, PaeSpec("a", 5000, 8000));
  EXPECT_THAT(
      host->CreateDomain(PaeSpec("b", 1001), false, NeverStop),
      IsError(
          Code::kResourceExhausted, Reason::kHostMemoryExhausted,
          HasSubstr(
              "create of domain \"b\": claim of 3.9 MiB (1001 pages): of the "
              "frames below 128 GiB (mfn 0x2000000), which a 32-bit "
              "guest can reach, 3.9 MiB (1000 pages) are free and "
              "unclaimed")));
  MustCreate(*host, MakeSpec("c", 1001));  // takes the last low frames
  ASSERT_THAT(
      domain->balloon().SetMaximum({"set maximum memory"}, PageCount(8000)),
      IsOk());
  EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(1), false),
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr("0 pages are free and unclaimed")));
  EXPECT_EQ(domain->balloon().Up({"balloon up"}, PageCount(5), true)->value(),
            0);
  ASSERT_THAT(hog->balloon().Down({"balloon down"}, PageCount(3), false),
              IsOk());
  EXPECT_EQ(domain->balloon().Up({"balloon up"}, PageCount(5), true)->value(),
            3);
  ExpectClean(*host, kDom0Pages + low_free - 6003 + 5003 + 1001);
}

}  // namespace
}  // namespace simvisor
