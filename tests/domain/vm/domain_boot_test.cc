// Boots from memory maps that are awkward, and what they leave behind.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "domain/host/host.h"
#include "domain/vm/domain.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/host_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::IsEmpty;

class DomainBootTest : public testing::Test {
 protected:
  std::shared_ptr<Domain> Create(std::vector<E820Entry> map, uint64_t pages,
                                 bool paused) {
    DomainSpec spec = MakeSpec("vm", pages);
    spec.e820 = MakeMap(std::move(map));
    auto created = host_->CreateDomain(spec, paused, NeverStop);
    EXPECT_THAT(created, IsOk());
    return *created;
  }

  std::unique_ptr<Host> host_ = MakeHost(300000);
};

TEST_F(DomainBootTest, RamEntriesThatMeetInsideAPageHideNoHole) {
  for (const uint64_t boundary :
       {257 * kPageSize + 2048, 10000 * kPageSize + 1}) {
    const auto domain = Create({Ram(0, boundary), Ram(boundary, 64 * kMiB)},
                               16384, /*paused=*/false);
    EXPECT_THAT(host_->Audit().findings, IsEmpty());
    EXPECT_EQ(domain->p2m().Summary()->summary.ram, 16384);
    const PageCount available = domain->Info().memory.available;
    const auto moved =
        domain->balloon().Down({"balloon down"}, available, false);
    ASSERT_THAT(moved, IsOk());
    EXPECT_EQ(*moved, available);
    EXPECT_THAT(host_->Audit().findings, IsEmpty());
    ASSERT_THAT(host_->DestroyDomain(std::string("vm")), IsOk());
  }
}

TEST_F(DomainBootTest, TargetSetBeforeBootOutlivesFramesGivenBackAtBoot) {
  // No RAM above the holes: 12288 frames go back at boot.
  const auto domain =
      Create({Ram(0, 16 * kMiB), Reserved(16 * kMiB, 64 * kMiB)}, 16384,
             /*paused=*/true);
  ASSERT_THAT(
      domain->balloon().SetTarget({"set memory target"}, PageCount(3000)),
      IsOk());
  ASSERT_THAT(domain->Unpause({"unpause"}), IsOk());
  const DomainMemory memory = domain->Info().memory;
  EXPECT_EQ(memory.target, PageCount(3000));
  EXPECT_EQ(memory.current, PageCount(3000));
  EXPECT_EQ(domain->p2m().Summary()->released, PageCount(12288));
  EXPECT_THAT(host_->Audit().findings, IsEmpty());
}

TEST_F(DomainBootTest, TargetFollowsFramesGivenBackAtBoot) {
  const auto domain =
      Create({Ram(0, 16 * kMiB), Reserved(16 * kMiB, 64 * kMiB)}, 16384,
             /*paused=*/false);
  EXPECT_EQ(domain->Info().memory.current, PageCount(4096));
  EXPECT_EQ(domain->Info().memory.target, PageCount(4096));
}

TEST_F(DomainBootTest, FramesReleasedBeforeBootDoNotCountAsMoved) {
  // A hole of 256 pages with room for its frames above the initial size.
  const auto domain = Create({Ram(0, 8 * kMiB), Reserved(8 * kMiB, 9 * kMiB),
                              Ram(9 * kMiB, 80 * kMiB)},
                             16384, /*paused=*/true);
  ASSERT_THAT(
      domain->p2m().MarkIdentity({"mark identity"}, Pfn(2048), Pfn(2148), true),
      IsOk());
  ASSERT_THAT(domain->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(domain->p2m().Summary()->remapped, PageCount(156));
  EXPECT_THAT(host_->Audit().findings, IsEmpty());
}

TEST_F(DomainBootTest, TheFirstMiBIsNeverHandedOut) {
  const auto domain = Create({Ram(0, 64 * kMiB)}, 16384, /*paused=*/false);
  const PageCount available = domain->Info().memory.available;
  std::vector<P2mWord> words;
  ASSERT_THAT(domain->p2m().Translate({5}, words), IsOk());
  const PfnExtent page = {Pfn(5), PageCount(1)};
  ASSERT_THAT(domain->p2m().SetRange({"set p2m"}, page, P2mClass::kMissing,
                                     Mfn(), RamPolicy::kKeep),
              IsOk());
  ASSERT_THAT(
      domain->p2m().SetRange({"set p2m"}, page, P2mClass::kRam,
                             Mfn(words[0].Number()), RamPolicy::kRefuse),
      IsOk());
  EXPECT_EQ(domain->Info().memory.available, available);
  EXPECT_THAT(host_->Audit().findings, IsEmpty());
}

TEST_F(DomainBootTest, ARefusedDomainUsesUpNoId) {
  DomainSpec spec = MakeSpec("huge", 1 << 20);
  EXPECT_FALSE(host_->CreateDomain(spec, false, NeverStop).ok());
  EXPECT_EQ(Create({Ram(0, 64 * kMiB)}, 16384, false)->id(), DomainId(1));
}

}  // namespace
}  // namespace simvisor
