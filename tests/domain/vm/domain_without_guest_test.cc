// A domain that has pages, but neither a guest nor anything that one could boot
// from, as while its pages come in; and one that gets its guest later.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "domain/vm/planned_domain.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/domain_copy.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::_;
using testing::IsEmpty;

constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;

class DomainWithoutGuestTest : public testing::Test {
 protected:
  DomainWithoutGuestTest() {
    pool_ = *FramePool::Create({{Mfn(0), PageCount(10000)}}, Mfn(256),
                               Placement::kLowest, 1);
  }

  std::shared_ptr<Domain> Make(Pfn end) {
    DomainSpec spec = MakeSpec("bare", end.value());
    Domain::Params params = {.id = DomainId(3),
                             .spec = spec,
                             .initial = false,
                             .max_pages = MaxPagesFor(spec.memory),
                             .affinities = VcpuAffinities(cpus_, 1)};
    params.spec.max_memory = spec.memory;
    auto domain = PlanIncoming(std::move(params), end, *pool_);
    EXPECT_THAT(domain, IsOk());
    return *std::move(domain);
  }

  // Gives pfns [0, count) frames, and page 5 a content.
  void TakeIn(Domain& domain, PageCount count) {
    ReceivedPages received(*pool_, domain.id());
    received.pages.Add({Pfn(0), count});
    EXPECT_THAT(received.contents.Set(Pfn(5), std::string(kPageSize, 'a')),
                IsOk());
    received.claim = *pool_->Claim(count);
    EXPECT_THAT(domain.build().TakeIn({"restore"}, received), IsOk());
  }

  std::vector<std::string> Findings(Domain& domain) {
    DomainAuditTotals totals;
    domain.audit().Lock();
    domain.audit().Check(totals);
    domain.audit().Unlock();
    return totals.findings;
  }

  const HostCpus cpus_{1};
  std::unique_ptr<FramePool> pool_;
};

TEST_F(DomainWithoutGuestTest, WordsAndPagesCanBeReadAndWritten) {
  const auto domain = Make(Pfn(1000));
  TakeIn(*domain, PageCount(900));
  EXPECT_EQ(domain->Info().state, DomainState::kBuilt);
  EXPECT_EQ(domain->Info().memory.current.value(), 900);
  EXPECT_FALSE(domain->Info().balloon_driver.has_value());
  EXPECT_EQ(domain->published(), nullptr);
  EXPECT_EQ(domain->p2m().Summary()->summary.ram, 900);
  EXPECT_EQ(WordOf(*domain, 899).Class(), P2mClass::kRam);
  EXPECT_TRUE(WordOf(*domain, 900).is_invalid());
  std::string read(3, '\0');
  EXPECT_THAT(domain->contents().Read(Pfn(5), 0, absl::MakeSpan(read)), IsOk());
  EXPECT_EQ(read, "aaa");
  EXPECT_THAT(domain->contents().Write({"write"}, Pfn(5), 1, "b"), IsOk());
  EXPECT_THAT(domain->contents().Read(Pfn(5), 0, absl::MakeSpan(read)), IsOk());
  EXPECT_EQ(read, "aba");
  std::vector<ImageRun> runs;
  EXPECT_EQ(
      *domain->migration().ReadForImage({Pfn(0), PageCount(1000)}, 10, runs),
      Pfn(1000));
  EXPECT_EQ(runs.size(), 4u);  // zeros, page 5, zeros, nothing
  EXPECT_THAT(*domain->migration().LeafPages(0, 10), IsEmpty());
  EXPECT_THAT(Findings(*domain), IsEmpty());
}

TEST_F(DomainWithoutGuestTest, WhatNeedsAKernelIsRefused) {
  const auto domain = Make(Pfn(1000));
  TakeIn(*domain, PageCount(1000));
  const auto unknown = IsError(kRefused, Reason::kGuestKernelUnknown, _);
  const auto not_booted = IsError(kRefused, Reason::kDomainNotBooted, _);
  const auto not_running = IsError(kRefused, Reason::kDomainNotRunning, _);
  EXPECT_THAT(domain->Unpause({"unpause"}), unknown);
  EXPECT_THAT(
      domain->p2m().MarkIdentity({"mark identity"}, Pfn(1), Pfn(2), false),
      unknown);
  EXPECT_THAT(
      domain->p2m().SetRange({"set p2m"}, {Pfn(1), PageCount(1)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      not_booted);
  ForeignReport report;
  EXPECT_THAT(domain->p2m().MapForeign({"map"}, {}, report), not_booted);
  EXPECT_THAT(domain->p2m().FindMfnListList(), not_booted);
  EXPECT_THAT(domain->balloon().Down({"balloon down"}, PageCount(1), false),
              not_running);
  EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(1), true),
              not_running);
  EXPECT_THAT(domain->load().Start({"start load"}, LoadSpec()), not_running);
  EXPECT_THAT(domain->load().Find(),
              IsError(kRefused, Reason::kGuestLoadNotFound, _));
  EXPECT_THAT(domain->processes().Create({"create"}, 1),
              IsError(kRefused, Reason::kArchNotPae, _));
  EXPECT_THAT(domain->migration().Suspend({"save"}), not_running);
  EXPECT_THAT(domain->migration().StartLogDirty({"migrate"}), not_running);
  EXPECT_EQ(domain->balloon().timers().balloon.seconds, std::nullopt);
  EXPECT_THAT(domain->balloon().Wake({"wake"}, BalloonTimer()), IsOk());
  EXPECT_EQ(domain->Info().memory.current.value(), 1000);
  EXPECT_THAT(Findings(*domain), IsEmpty());
}

TEST_F(DomainWithoutGuestTest, LimitsCanBeSetAndItDies) {
  const auto domain = Make(Pfn(1000));
  TakeIn(*domain, PageCount(1000));
  EXPECT_THAT(
      domain->balloon().SetTarget({"set memory target"}, PageCount(800)),
      IsOk());
  EXPECT_EQ(domain->Info().memory.target.value(), 800);
  EXPECT_EQ(domain->Info().memory.current.value(), 1000);
  std::vector<DomainId> drained;
  const auto freed = domain->Destroy({"destroy"}, &drained);
  ASSERT_THAT(freed, IsOk());
  EXPECT_EQ(freed->value(), 1000);
  EXPECT_TRUE(domain->IsGone());
  EXPECT_THAT(Findings(*domain), IsEmpty());
  EXPECT_EQ(pool_->counts().free.value(), 10000 - 256);
}

TEST_F(DomainWithoutGuestTest, GuestOfNotesComesIntoTheSameDomain) {
  const auto host = MakeHost(20000);
  const auto saved = MustCreate(*host, MakeSpec("saved", 1000, 1200));
  const auto record = saved->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  const auto domain = Make(record->last_pfn);
  PfnSet pages;
  pages.Add({Pfn(0), record->pages});
  auto noted = domain->build().PlanGuest({.bytes = record->notes}, pages,
                                         record->last_pfn, NeverStop);
  ASSERT_THAT(noted, IsOk());
  EXPECT_EQ(domain->published(), nullptr);
  EXPECT_EQ(domain->Info().memory.current.value(), 0);
  ReceivedPages received(*pool_, domain->id());
  received.pages = pages;
  received.claim = *pool_->Claim(record->pages);
  ASSERT_THAT(domain->build().TakeGuestIn({"restore"}, *std::move(noted),
                                          RecordPages(*record), received,
                                          LimitsFrom::kNotes, Arrival::kPaused),
              IsOk());
  EXPECT_NE(domain->published(), nullptr);
  EXPECT_EQ(domain->Info().state, DomainState::kPaused);
  EXPECT_EQ(domain->Info().memory.static_max, saved->Info().memory.static_max);
  EXPECT_THAT(Findings(*domain), IsEmpty());
  EXPECT_THAT(domain->Unpause({"unpause"}), IsOk());
  EXPECT_THAT(domain->balloon().Down({"balloon down"}, PageCount(100), false),
              IsOk());
  EXPECT_EQ(domain->Info().memory.current, record->pages - PageCount(100));
  EXPECT_THAT(Findings(*domain), IsEmpty());
}

}  // namespace
}  // namespace simvisor
