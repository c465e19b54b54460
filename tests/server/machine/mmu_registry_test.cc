#include "server/machine/mmu_registry.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/machine/mmu_waiter.h"
#include "tests/support/fake_clock.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

using std::chrono::milliseconds;

// Counts signals.
struct Counter final : MmuSignal {
  void MessagesWait() override { ++signals; }
  std::atomic<int> signals = 0;
};

class ServerMmuRegistryTest : public testing::Test {
 protected:
  ServerMmuRegistryTest() {
    HostConfig config;
    config.e820 = E820Map::SingleRam(PageCount(20000));
    config.dom0_memory = PageCount(kDom0Pages);
    config.waiter = &waiter_;
    auto host = Host::Create(config);
    EXPECT_THAT(host, IsOk());
    host_ = *std::move(host);
  }

  std::shared_ptr<Domain> Create(const std::string& name) {
    return MustCreate(*host_, MakeSpec(name, 3000));
  }
  SubscriptionId Subscribe(const std::shared_ptr<Domain>& domain,
                           milliseconds lease, bool resumable = false) {
    MmuSpec spec;
    spec.name = "tlb";
    spec.lease = absl::FromChrono(lease);
    spec.resumable = resumable;
    const auto id = domain->mmus().Register(
        {.name = "subscribe"}, std::move(spec),
        {.signal = std::make_shared<Counter>(), .object = nullptr});
    EXPECT_THAT(id, IsOk());
    registry_.Add(*id, domain);
    return *id;
  }
  static uint64_t Fences(Domain& domain) {
    return domain.mmus().Totals().fences;
  }
  // Waits for the thread that ends leases, which may just be at work on the
  // time before.
  static void AwaitFences(Domain& domain, uint64_t count) {
    while (Fences(domain) < count) std::this_thread::yield();
    EXPECT_EQ(Fences(domain), count);
  }
  // As a call does whose stream breaks.
  bool Break(const std::shared_ptr<Domain>& domain, SubscriptionId id) {
    domain->mmus().Find()->Detach(id, waiter_.Now());
    return registry_.Leave(id);
  }

  FakeClock clock_;
  FaultInjector faults_{true};
  MmuWaiter waiter_{&clock_, &faults_};
  std::unique_ptr<Host> host_;
  MmuRegistry registry_{&clock_, &faults_};
};

TEST_F(ServerMmuRegistryTest, FencesWhenALeaseEndsAndNotBefore) {
  const auto a = Create("a");
  const auto b = Create("b");
  Subscribe(a, milliseconds(300));
  Subscribe(a, milliseconds(200));
  Subscribe(b, milliseconds(250));
  clock_.AdvanceBy(milliseconds(199));
  EXPECT_EQ(Fences(*a), 0u);
  clock_.AdvanceBy(milliseconds(1));
  AwaitFences(*a, 1);
  EXPECT_EQ(Fences(*b), 0u);
  clock_.AdvanceBy(milliseconds(50));
  AwaitFences(*b, 1);
  clock_.AdvanceBy(milliseconds(50));
  AwaitFences(*a, 2);
}

TEST_F(ServerMmuRegistryTest, LooksAgainWhenALeaseHasGrown) {
  const auto a = Create("a");
  const SubscriptionId id = Subscribe(a, milliseconds(200));
  for (int i = 0; i < 5; ++i) {
    clock_.AdvanceBy(milliseconds(150));
    EXPECT_THAT(a->mmus().Find()->Renew(id, i, waiter_.Now()), IsOk());
  }
  EXPECT_EQ(Fences(*a), 0u);
  clock_.AdvanceBy(milliseconds(200));
  AwaitFences(*a, 1);
}

TEST_F(ServerMmuRegistryTest, FindsDomainsInTheOrderOfTheirIds) {
  const auto a = Create("a");
  const auto b = Create("b");
  const SubscriptionId of_b = Subscribe(b, milliseconds(1000));
  const SubscriptionId of_a = Subscribe(a, milliseconds(1000));
  EXPECT_EQ(*registry_.Find("test", of_a), a);
  EXPECT_EQ(*registry_.Find("test", of_b), b);
  EXPECT_EQ(registry_.Domains(), (std::vector<std::shared_ptr<Domain>>{a, b}));
  registry_.Remove(of_a);
  EXPECT_EQ(registry_.Domains(), (std::vector<std::shared_ptr<Domain>>{b}));
  EXPECT_EQ(ReasonOf(registry_.Find("test", of_a).status()),
            "SECONDARY_MMU_NOT_FOUND");
}

TEST_F(ServerMmuRegistryTest, KeepsNoDomainAlive) {
  auto a = Create("a");
  const SubscriptionId id = Subscribe(a, milliseconds(100));
  const std::weak_ptr<Domain> seen = a;
  ASSERT_TRUE(registry_.Find("test", id).ok());
  // Fenced, so that the domain does not wait for an acknowledgement.
  ASSERT_THAT(registry_.Fence("test", id), IsOk());
  ASSERT_THAT(host_->DestroyDomain(a), IsOk());
  a = nullptr;
  // The thread that ends leases may look at it at this moment.
  while (!seen.expired()) std::this_thread::yield();
  EXPECT_FALSE(registry_.Find("test", id).ok());
  EXPECT_TRUE(registry_.Domains().empty());
  clock_.AdvanceBy(milliseconds(1000));
}

TEST_F(ServerMmuRegistryTest, KeepsWhatCanBeResumedUntilItsLeaseEnds) {
  const auto a = Create("a");
  const SubscriptionId lost = Subscribe(a, milliseconds(100));
  const SubscriptionId kept = Subscribe(a, milliseconds(100), true);
  EXPECT_FALSE(Break(a, lost));
  EXPECT_FALSE(registry_.Find("test", lost).ok());
  EXPECT_TRUE(Break(a, kept));
  EXPECT_TRUE(registry_.Find("test", kept).ok());
  clock_.AdvanceBy(milliseconds(100));
  AwaitFences(*a, 2);
  // Its client can still learn that it was fenced.
  EXPECT_TRUE(registry_.Find("test", kept).ok());
}

TEST_F(ServerMmuRegistryTest, ForgetsTheOldestOfTooManyThatWereFenced) {
  const auto a = Create("a");
  const SubscriptionId first = Subscribe(a, milliseconds(100), true);
  ASSERT_TRUE(Break(a, first));
  ASSERT_THAT(registry_.Fence("test", first), IsOk());
  for (size_t i = 0; i < MmuRegistry::kMaxEnded; ++i) {
    EXPECT_TRUE(registry_.Find("test", first).ok());
    const SubscriptionId id = Subscribe(a, milliseconds(100), true);
    ASSERT_TRUE(Break(a, id));
    ASSERT_THAT(registry_.Fence("test", id), IsOk());
  }
  EXPECT_FALSE(registry_.Find("test", first).ok());
  EXPECT_EQ(a->mmus().Find()->List(waiter_.Now()).size(),
            MmuRegistry::kMaxEnded);
}

TEST_F(ServerMmuRegistryTest, FencesEachOnlyOnce) {
  const auto a = Create("a");
  const SubscriptionId id = Subscribe(a, milliseconds(100));
  EXPECT_THAT(registry_.Fence("test", id), IsOk());
  EXPECT_EQ(ReasonOf(registry_.Fence("test", id)), "SECONDARY_MMU_NOT_FOUND");
  Subscribe(a, milliseconds(100));
  Subscribe(a, milliseconds(100));
  registry_.FenceAll();
  EXPECT_EQ(Fences(*a), 3u);
}

}  // namespace
}  // namespace simvisor::server
