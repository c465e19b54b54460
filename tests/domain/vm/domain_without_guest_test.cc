// A domain that has pages, but neither a guest nor anything that one could boot
// from, as while its pages come in; and one that gets its guest later.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "domain/guest/built_image.h"
#include "domain/p2m/builder_list.h"
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

  Domain::Params ParamsOf(PageCount memory) {
    Domain::Params params = {.id = DomainId(3),
                             .spec = MakeSpec("bare", memory.value()),
                             .initial = false,
                             .max_pages = MaxPagesFor(memory),
                             .affinities = VcpuAffinities(cpus_, 1),
                             .mmus = &mmus_};
    params.spec.max_memory = memory;
    params.spec.e820 = E820Map::SingleRam(memory);
    return params;
  }

  std::shared_ptr<Domain> Make(Pfn end) {
    auto domain = PlanIncoming(ParamsOf(PageCount(end.value())), end, *pool_);
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
  MachineMmus mmus_;
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

// What another builder does: words and frames, and a list in pages of its own
// choice.
absl::Status BuildElsewhere(ChangeScope& change, BuildPlan plan) {
  const PageCount memory = plan.memory;
  const uint64_t span = kAbiX86_64.leaf_span();
  const uint64_t leaves = (memory.value() + span - 1) / span;
  P2mWords& words = change.parts().memory.words();
  words.Resize(Pfn(leaves * span));
  SIMVISOR_RETURN_IF_ERROR(change.ClaimFrames(memory));
  change.PopulatePhysmap({Pfn(0), memory},
                         [&](Pfn pfn, absl::Span<const MfnExtent> frames) {
                           words.StoreFrames(change.permit(), pfn, frames);
                         });
  std::vector<Pfn> pages;
  for (uint64_t i = 0; i < leaves; ++i) pages.push_back(Pfn(2500 - 7 * i));
  SIMVISOR_ASSIGN_OR_RETURN(BuilderList list,
                            BuilderList::Found(words, memory, pages));
  PfnSet kernel;
  kernel.Add({Pfn(600), PageCount(50)});
  change.parts().SetBuilt(
      BuiltImage::Found(std::move(plan), std::move(list), kernel, nullptr));
  return absl::OkStatus();
}

TEST_F(DomainWithoutGuestTest, GuestBootsFromTheListThatAnotherBuilderLeft) {
  auto planned = PlanDomain(ParamsOf(PageCount(3000)), *pool_);
  ASSERT_THAT(planned, IsOk());
  Domain& domain = *planned->domain;
  ASSERT_THAT(domain.Change({"build"}, Needs::kAlive,
                            [&](ChangeScope& change) {
                              return BuildElsewhere(change,
                                                    std::move(planned->plan));
                            }),
              IsOk());
  EXPECT_EQ(domain.Info().state, DomainState::kBuilt);
  EXPECT_THAT(Findings(domain), IsEmpty());
  ASSERT_THAT(domain.Unpause({"unpause"}), IsOk());
  EXPECT_NE(domain.published(), nullptr);
  EXPECT_THAT(Findings(domain), IsEmpty());
  const auto host = MakeHost(20000);
  const auto ours = MustCreate(*host, MakeSpec("ours", 3000));
  EXPECT_EQ(domain.p2m().Summary()->summary, ours->p2m().Summary()->summary);
  EXPECT_EQ(domain.Memory().available + PageCount(50),
            ours->Memory().available);
  EXPECT_THAT(domain.balloon().Down({"balloon down"}, PageCount(1000), false),
              IsOk());
  EXPECT_THAT(Findings(domain), IsEmpty());
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
