// Balloon drivers as clients see them, and their timers.

#include <cstdint>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Domains = v1::DomainService::Stub;
using Memory = v1::MemoryService::Stub;

constexpr uint64_t kBalloonPages = 3000;
constexpr uint64_t kRoom = 1000;

class ServerBalloonApiTest : public ServerTest {
 protected:
  static v1::CreateDomainRequest WithRoom(const std::string& name) {
    v1::CreateDomainRequest request = Wanted(name, kBalloonPages);
    request.mutable_spec()->set_max_memory_pages(kBalloonPages + kRoom);
    return request;
  }
  v1::Domain Get(uint32_t domid) {
    v1::GetDomainRequest request;
    request.mutable_domain()->set_domid(domid);
    v1::GetDomainResponse response;
    EXPECT_EQ(Call(*domains_, &Domains::GetDomain, request, &response), "OK");
    return response.domain();
  }
  v1::DomainMemory SetTarget(uint32_t domid, uint64_t pages) {
    v1::SetMemoryTargetRequest request;
    request.mutable_domain()->set_domid(domid);
    request.set_target_pages(pages);
    v1::SetMemoryTargetResponse response;
    EXPECT_EQ(Call(*memory_, &Memory::SetMemoryTarget, request, &response),
              "OK");
    return response.memory();
  }
  // Has a domain take all free frames; returns its domid.
  uint32_t Fill() {
    v1::GetHostResponse host;
    EXPECT_EQ(Call(*hosts_, &v1::HostService::Stub::GetHost, {}, &host), "OK");
    v1::Domain filler;
    EXPECT_EQ(Create(Wanted("all", host.host().free_pages()), &filler), "OK");
    return filler.domid();
  }
  void Destroy(uint32_t domid) {
    v1::DestroyDomainRequest request;
    request.mutable_domain()->set_domid(domid);
    EXPECT_EQ(Call(*domains_, &Domains::DestroyDomain, request), "OK");
  }
  std::string Pause(uint32_t domid) {
    v1::PauseDomainRequest request;
    request.mutable_domain()->set_domid(domid);
    return Call(*domains_, &Domains::PauseDomain, request);
  }
  std::string Unpause(uint32_t domid) {
    v1::UnpauseDomainRequest request;
    request.mutable_domain()->set_domid(domid);
    return Call(*domains_, &Domains::UnpauseDomain, request);
  }
};

TEST_F(ServerBalloonApiTest, DriverIsShownOnceTheGuestHasBooted) {
  v1::CreateDomainRequest request = WithRoom("a");
  request.mutable_spec()->set_memory_hotplug_limit_gib(1);
  request.set_start_paused(true);
  v1::Domain domain;
  ASSERT_EQ(Create(request, &domain), "OK");
  EXPECT_FALSE(domain.has_balloon_driver());
  EXPECT_EQ(domain.memory_hotplug_limit_gib(), 1u);

  ASSERT_EQ(Unpause(domain.domid()), "OK");
  const v1::BalloonDriver driver = Get(domain.domid()).balloon_driver();
  EXPECT_EQ(driver.current_pages(), kBalloonPages);
  EXPECT_EQ(driver.target_pages(), kBalloonPages);
  EXPECT_EQ(driver.low_pages(), kRoom);
  EXPECT_EQ(driver.high_pages(), 0u);
  EXPECT_EQ(driver.batch_pages(), 512u);
  EXPECT_EQ(driver.schedule_delay_seconds(), 1u);
  EXPECT_EQ(driver.max_schedule_delay_seconds(), 32u);
  EXPECT_EQ(driver.retry_count(), 1u);
  EXPECT_EQ(driver.max_retry_count(), 4u);
  ASSERT_EQ(driver.extra_regions_size(), 1);
  EXPECT_EQ(driver.extra_regions(0).first_pfn(), kBalloonPages);
  EXPECT_EQ(driver.extra_regions(0).count(), kRoom);

  v1::ListDomainsResponse list;
  ASSERT_EQ(Call(*domains_, &Domains::ListDomains, {}, &list), "OK");
  EXPECT_EQ(list.domains(1).balloon_driver().low_pages(), kRoom);
}

TEST_F(ServerBalloonApiTest, ShortMoveContinuesWhenFramesAreFree) {
  v1::Domain domain;
  ASSERT_EQ(Create(WithRoom("a"), &domain), "OK");
  const uint32_t filler = Fill();
  EXPECT_EQ(SetTarget(domain.domid(), kBalloonPages + 100).balloon_state(),
            v1::BALLOON_STATE_AGAIN);
  clock_.Advance(2);
  EXPECT_EQ(Get(domain.domid()).balloon_driver().schedule_delay_seconds(), 4u);
  Destroy(filler);
  clock_.Advance(4);
  const v1::Domain after = Get(domain.domid());
  EXPECT_EQ(after.memory().current_pages(), kBalloonPages + 100);
  EXPECT_EQ(after.memory().balloon_state(), v1::BALLOON_STATE_DONE);
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(ServerBalloonApiTest,
       TargetWrittenWhilePausedIsTriedAtOnceThenOnTheTimer) {
  v1::Domain domain;
  ASSERT_EQ(Create(WithRoom("a"), &domain), "OK");
  ASSERT_EQ(Pause(domain.domid()), "OK");
  const uint32_t filler = Fill();
  SetTarget(domain.domid(), kBalloonPages + 100);
  clock_.Advance(100);
  EXPECT_EQ(Get(domain.domid()).balloon_driver().retry_count(), 1u);
  ASSERT_EQ(Unpause(domain.domid()), "OK");
  EXPECT_EQ(Get(domain.domid()).balloon_driver().retry_count(), 2u);
  Destroy(filler);
  clock_.Advance(2);
  EXPECT_EQ(Get(domain.domid()).memory().current_pages(), kBalloonPages + 100);
}

TEST_F(ServerBalloonApiTest, PagesHeldForOthersAreNotTheDrivers) {
  v1::Domain owner, mapper;
  ASSERT_EQ(Create(WithRoom("owner"), &owner), "OK");
  ASSERT_EQ(Create(WithRoom("mapper"), &mapper), "OK");
  v1::TranslatePfnsRequest where;
  where.mutable_domain()->set_domid(owner.domid());
  for (uint64_t pfn = kBalloonPages - 5; pfn < kBalloonPages; ++pfn)
    where.add_pfns(pfn);
  v1::TranslatePfnsResponse words;
  ASSERT_EQ(Call(*memory_, &Memory::TranslatePfns, where, &words), "OK");
  v1::MapForeignFramesRequest map;
  map.mutable_domain()->set_domid(mapper.domid());
  for (uint64_t i = 0; i < 5; ++i) {
    v1::ForeignSlot* const slot = map.add_slots();
    slot->set_pfn(kBalloonPages + i);
    slot->set_mfn(words.frames(static_cast<int>(i)));
  }
  v1::MapForeignFramesResponse mapped;
  ASSERT_EQ(Call(*memory_, &Memory::MapForeignFrames, map, &mapped), "OK");
  ASSERT_EQ(mapped.mapped_slots(), 5u);

  SetTarget(owner.domid(), kBalloonPages - 100);
  const v1::Domain after = Get(owner.domid());
  EXPECT_EQ(after.memory().current_pages(), kBalloonPages - 95);
  EXPECT_EQ(after.memory().foreign_held_pages(), 5u);
  EXPECT_EQ(after.balloon_driver().current_pages(), kBalloonPages - 100);
  EXPECT_EQ(after.balloon_driver().target_pages(), kBalloonPages - 100);
  EXPECT_EQ(after.balloon_driver().low_pages(), kRoom + 100);
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(ServerBalloonApiTest, SpecSaysHowManyRoundsMayFail) {
  v1::CreateDomainRequest request = WithRoom("a");
  request.mutable_spec()->set_balloon_max_retry(2);
  v1::Domain domain;
  ASSERT_EQ(Create(request, &domain), "OK");
  Fill();
  SetTarget(domain.domid(), kBalloonPages + 100);
  clock_.Advance(2);
  const v1::BalloonDriver driver = Get(domain.domid()).balloon_driver();
  EXPECT_EQ(driver.state(), v1::BALLOON_STATE_CANCELLED);
  EXPECT_EQ(driver.max_retry_count(), 2u);
}

// A daemon that accepts fault rules.
class ServerBalloonAnswerTest : public ServerTest {
 protected:
  ServerBalloonAnswerTest()
      : ServerTest(Placement::kLowest, 8, /*fault_injection=*/true) {}
};

TEST_F(ServerBalloonAnswerTest, TellsTheMemoryAtTheEndOfTheMove) {
  ASSERT_EQ(Create(Wanted("web", kBalloonPages)), "OK");
  ASSERT_TRUE(faults_
                  .Add({.point = FaultPoint::kBalloonMoved,
                        .domain = "web",
                        .action = FaultAction::kDelay,
                        .delay_ms = kMaxFaultDelayMs,
                        .count = 1})
                  .ok());
  v1::BalloonDownResponse response;
  std::thread caller([this, &response] {
    v1::BalloonDownRequest request;
    request.mutable_domain()->set_name("web");
    request.set_pages(10);
    EXPECT_EQ(Call(*memory_, &Memory::BalloonDown, request, &response), "OK");
  });
  while (faults_.List()[0].acted == 0) std::this_thread::yield();
  const auto web = *machine_->host().Find(std::string("web"));
  EXPECT_TRUE(web->balloon().Down({"balloon down"}, PageCount(20), false).ok());
  faults_.RemoveAll();
  caller.join();
  EXPECT_EQ(response.memory().current_pages(), kBalloonPages - 10);
  EXPECT_EQ(web->Memory().current, PageCount(kBalloonPages - 30));
}

}  // namespace
}  // namespace simvisor::server
