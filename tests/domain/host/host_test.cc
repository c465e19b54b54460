#include "domain/host/host.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kHostPages = 20000;

TEST(HostTest, FreshMachineRunsDom0AndKeepsTheFirstMiB) {
  const auto host = MakeHost(kHostPages);
  const HostInfo info = host->Info();
  EXPECT_EQ(info.total.value(), kHostPages);
  EXPECT_EQ(info.reserved.value(), 256);
  EXPECT_EQ(info.owned.value(), kDom0Pages);
  EXPECT_EQ(info.domains, 1);
  EXPECT_EQ(info.max_mfn.value(), kHostPages);
  const auto dom0 = host->Find(kDom0Id);
  ASSERT_THAT(dom0, IsOk());
  EXPECT_EQ((*dom0)->Info().name, "Domain-0");
  EXPECT_EQ((*dom0)->Info().state, DomainState::kRunning);
  ExpectClean(*host, kDom0Pages);
}

TEST(HostTest, MachineTooSmallForDom0IsRefused) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(1000));
  config.dom0_memory = PageCount(2000);
  EXPECT_FALSE(Host::Create(config).ok());
  config.dom0_memory = PageCount(900);
  EXPECT_THAT(Host::Create(config),
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr("900")));
}

TEST(HostTest, Dom0StartsWithItsMaximumIfThatIsLess) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(5000));
  config.dom0_memory = PageCount(9000);
  config.dom0_max_memory = PageCount(3000);
  const auto host = Host::Create(config);
  ASSERT_THAT(host, IsOk());
  const DomainMemory memory = (*(*host)->Find(kDom0Id))->Info().memory;
  EXPECT_EQ(memory.current.value(), 3000u);
  EXPECT_EQ(memory.target.value(), 3000u);
  EXPECT_EQ(memory.static_max.value(), 3000u);
  ExpectClean(**host, 3000);
}

struct BadSize {
  uint64_t memory, max_memory;
};

TEST(HostTest, SizesNoDomainCanHaveAreRefused) {
  const auto host = MakeHost(kHostPages);
  const uint64_t huge = uint64_t{1} << 52;
  for (const BadSize& bad :
       {BadSize{0, 0}, BadSize{1, 0}, BadSize{256, 0}, BadSize{1000, 999},
        BadSize{huge, 0}, BadSize{1000, huge}, BadSize{uint64_t{1} << 32, 0},
        BadSize{~uint64_t{0}, 0}, BadSize{266, 0}}) {
    EXPECT_THAT(host->CreateDomain(MakeSpec("a", bad.memory, bad.max_memory),
                                   false, NeverStop),
                IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
                        HasSubstr(absl::StrCat(bad.memory, " pages"))))
        << bad.memory << " of " << bad.max_memory;
  }
  EXPECT_THAT(host->Find("a"), IsError(Code::kNotFound, Reason::kDomainNotFound,
                                       HasSubstr("\"a\"")));
  ExpectClean(*host, kDom0Pages);
}

TEST(HostTest, SmallestGuestHasJustThePagesOfItsList) {
  const auto host = MakeHost(kHostPages);
  // After the first MiB: builder's leaf, four constant pages, a PTE page, a
  // leaf, and four pages of the tree.
  const auto domain = MustCreate(*host, MakeSpec("tiny", 267));
  EXPECT_EQ(domain->Info().memory.p2m_pages.value(), 10);
  EXPECT_EQ(domain->Info().memory.available.value(), 1);
  ExpectClean(*host, kDom0Pages + 267);
}

TEST(HostTest, OddSizeOf2049MiBIsBuiltToThePage) {
  const uint64_t pages = 2049 * kPagesPerMiB;
  const auto host = MakeHost(pages + 10000);
  const auto domain = MustCreate(*host, MakeSpec("odd", pages));
  EXPECT_EQ(WordOf(*domain, pages - 1).Class(), P2mClass::kRam);
  EXPECT_EQ(WordOf(*domain, pages), P2mWord::Identity(Pfn(pages)));
  const auto report = domain->p2m().Summary();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->summary.ram, pages);
  EXPECT_EQ(report->summary.p2m_size, 786432);
  EXPECT_EQ(report->summary.private_leaves, 1025);
  EXPECT_EQ(report->summary.identity_leaves, 511);
  ExpectClean(*host, kDom0Pages + pages);
}

TEST(HostTest, MoreThanThePoolHasIsRefusedAndNothingStays) {
  const auto host = MakeHost(kHostPages);
  const uint64_t free = host->Info().free.value();
  EXPECT_THAT(host->CreateDomain(MakeSpec("big", free + 1), false, NeverStop),
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr(absl::StrCat(free))));
  ExpectClean(*host, kDom0Pages);
  MustCreate(*host, MakeSpec("big", free));
  EXPECT_EQ(host->Info().free.value(), 0);
  ExpectClean(*host, kDom0Pages + free);
}

TEST(HostTest, NameInUseIsRefusedUntilItsDomainIsGone) {
  const auto host = MakeHost(kHostPages);
  MustCreate(*host, MakeSpec("web", 1000));
  EXPECT_THAT(
      host->CreateDomain(MakeSpec("web", 1000), false, NeverStop),
      IsError(Code::kAlreadyExists, Reason::kNameInUse, HasSubstr("\"web\"")));
  EXPECT_THAT(
      host->CreateDomain(MakeSpec("Domain-0", 1000), false, NeverStop),
      IsError(Code::kAlreadyExists, Reason::kNameInUse, HasSubstr("Domain-0")));
  ASSERT_THAT(host->DestroyDomain(std::string("web")), IsOk());
  MustCreate(*host, MakeSpec("web", 1000));
}

TEST(HostTest, BadNamesAreRefused) {
  const auto host = MakeHost(kHostPages);
  for (const std::string& name :
       {std::string(), std::string("17"), std::string("a/b"),
        std::string("a\n"), std::string(256, 'a')}) {
    EXPECT_THAT(host->CreateDomain(MakeSpec(name, 1000), false, NeverStop),
                IsError(Code::kInvalidArgument, Reason::kNameInvalid,
                        HasSubstr("domain name")));
  }
  EXPECT_EQ(host->Info().domains, 1);
}

TEST(HostTest, UuidInUseIsRefused) {
  const auto host = MakeHost(kHostPages);
  DomainSpec spec = MakeSpec("a", 1000);
  spec.uuid[3] = 7;
  const auto first = MustCreate(*host, spec);
  spec.name = "b";
  EXPECT_THAT(host->CreateDomain(spec, false, NeverStop),
              IsError(Code::kAlreadyExists, Reason::kUuidInUse,
                      HasSubstr("00000007-0000-0000-0000-000000000000")));
  EXPECT_EQ(*host->Find(spec.uuid), first);
}

TEST(HostTest, UnknownDomainsAreNotFoundByAnySelector) {
  const auto host = MakeHost(kHostPages);
  for (const DomainSelector& selector :
       {DomainSelector(DomainId(5)), DomainSelector(std::string("five")),
        DomainSelector(Uuid{5})}) {
    EXPECT_THAT(host->Find(selector),
                IsError(Code::kNotFound, Reason::kDomainNotFound,
                        HasSubstr(ToString(selector))));
    EXPECT_THAT(host->DestroyDomain(selector),
                IsError(Code::kNotFound, Reason::kDomainNotFound, testing::_));
  }
}

TEST(HostTest, Dom0IsProtected) {
  const auto host = MakeHost(kHostPages);
  EXPECT_THAT(
      host->DestroyDomain(kDom0Id),
      IsError(Code::kFailedPrecondition, Reason::kDom0Protected, testing::_));
  EXPECT_THAT(
      host->RenameDomain(kDom0Id, "other"),
      IsError(Code::kFailedPrecondition, Reason::kDom0Protected, testing::_));
}

TEST(HostTest, IdsAreHandedOutUpwardsAndNotReusedAtOnce) {
  const auto host = MakeHost(kHostPages);
  EXPECT_EQ(MustCreate(*host, MakeSpec("a", 1000))->id().value(), 1);
  EXPECT_EQ(MustCreate(*host, MakeSpec("b", 1000))->id().value(), 2);
  ASSERT_THAT(host->DestroyDomain(DomainId(2)), IsOk());
  EXPECT_EQ(MustCreate(*host, MakeSpec("b", 1000))->id().value(), 3);
  const auto listed = host->List(DomainId(1), 10);
  ASSERT_EQ(listed.size(), 2);
  EXPECT_EQ(listed[0]->id().value(), 1);
  EXPECT_EQ(listed[1]->id().value(), 3);
  EXPECT_EQ(host->List(DomainId(1), 1).size(), 1);
}

TEST(HostTest, CreateThatIsStoppedLeavesNothing) {
  const auto host = MakeHost(600000, Placement::kScatter);
  int stopped = 0;
  while (true) {
    int asked = 0;
    const auto stop = [&] {
      return asked++ < stopped ? absl::OkStatus()
                               : absl::CancelledError("the client went away");
    };
    const auto created = host->CreateDomain(MakeSpec("a", 300000), false, stop);
    if (created.ok()) break;
    EXPECT_EQ(created.status().code(), Code::kCancelled);
    ExpectClean(*host, kDom0Pages);
    EXPECT_EQ(host->Info().domains, 1);
    ++stopped;
  }
  EXPECT_GE(stopped, 2) << "looks at `stop` while populating and booting";
  ExpectClean(*host, kDom0Pages + 300000);
}

TEST(HostTest, FramesPastTheMachineAreOutOfRange) {
  const auto host = MakeHost(kHostPages);
  std::vector<FrameRun> runs;
  EXPECT_THAT(host->LookupFrames({Mfn(kHostPages), PageCount(1)}, 10, runs),
              IsError(Code::kOutOfRange, Reason::kMfnOutOfRange, testing::_));
  EXPECT_THAT(host->LookupFrames({Mfn(1), PageCount(~uint64_t{0})}, 10, runs),
              IsError(Code::kOutOfRange, Reason::kMfnOutOfRange, testing::_));
  EXPECT_THAT(
      host->LookupFrames({Mfn(1), PageCount(0)}, 10, runs),
      IsError(Code::kInvalidArgument, Reason::kRangeInvalid, testing::_));
  Page page;
  bool zero = false;
  EXPECT_THAT(host->ReadFrame(Mfn(kHostPages), absl::MakeSpan(page), &zero),
              IsError(Code::kOutOfRange, Reason::kMfnOutOfRange, testing::_));
  EXPECT_THAT(host->ReadFrame(Mfn(kHostPages - 1), absl::MakeSpan(page), &zero),
              IsError(Code::kFailedPrecondition, Reason::kFrameNotReadable,
                      testing::_));
  EXPECT_THAT(host->ReadFrame(Mfn(0), absl::MakeSpan(page), &zero),
              IsError(Code::kFailedPrecondition, Reason::kFrameNotReadable,
                      testing::_));
}

}  // namespace
}  // namespace simvisor
