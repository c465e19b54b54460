// How domains end while others map their frames.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/foreign_testing.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::HasSubstr;
using Code = absl::StatusCode;

using HostDestroyTest = ForeignTest;

TEST_F(HostDestroyTest, DestroyedOwnerStaysUntilItsLastFrameIsUnmapped) {
  const DomainId id = owner_->id();
  const uint64_t frame = FrameAt(*owner_, 300);
  ASSERT_THAT(owner_->contents().Write({"write"}, Pfn(300), 0, "kept"), IsOk());
  Map(*mapper_, kHole, *owner_, 300, 2);
  const auto freed = host_->DestroyDomain(std::string("owner"));
  ASSERT_THAT(freed, IsOk());
  EXPECT_EQ(freed->value(), kOwner - 2);

  const DomainInfo info = (*host_->Find(id))->Info();
  EXPECT_EQ(info.state, DomainState::kDying);
  EXPECT_EQ(info.name, "");
  EXPECT_EQ(info.memory.current.value(), 2u);
  EXPECT_EQ(info.memory.foreign_held.value(), 2u);
  EXPECT_EQ(host_->List(id, 1).size(), 1u);
  EXPECT_THAT(host_->Find(std::string("owner")),
              IsError(Code::kNotFound, Reason::kDomainNotFound, testing::_));
  EXPECT_THAT(host_->DestroyDomain(id),
              IsError(Code::kFailedPrecondition, Reason::kDomainDying,
                      HasSubstr("last 2 of its frames")));
  EXPECT_EQ(ReadFrame(frame).substr(0, 4), "kept");
  ExpectClean(*host_, kDom0Pages + kMapper + 2);
  // The name is free.
  MustCreate(*host_, MakeSpec("owner", 1000));

  EXPECT_EQ(Unmap(*mapper_, kHole), 1u);
  EXPECT_THAT(host_->Find(id), IsOk());
  EXPECT_EQ(Unmap(*mapper_, kHole + 1), 1u);
  EXPECT_THAT(host_->Find(id),
              IsError(Code::kNotFound, Reason::kDomainNotFound, testing::_));
  ExpectClean(*host_, kDom0Pages + kMapper + 1000);
}

TEST_F(HostDestroyTest, SuspendedOwnerThatIsDestroyedIsDying) {
  Map(*mapper_, kHole, *owner_, 300);
  ASSERT_THAT(owner_->migration().Suspend({"save"}), IsOk());
  EXPECT_TRUE(owner_->Info().suspended);
  ASSERT_THAT(host_->DestroyDomain(owner_->id()), IsOk());
  const DomainInfo info = (*host_->Find(owner_->id()))->Info();
  EXPECT_EQ(info.state, DomainState::kDying);
  EXPECT_FALSE(info.suspended) << "it is saved no more";
}

TEST_F(HostDestroyTest, PageOfTheListItselfStaysReadableAfterItsOwner) {
  const uint64_t root = owner_->p2m().FindMfnListList()->root.root.value();
  const std::string before = ReadFrame(root);
  EXPECT_NE(before, std::string(kPageSize, '\0'));
  ASSERT_THAT(MapOne(kHole, root), IsOk());
  ASSERT_THAT(host_->DestroyDomain(owner_->id()), IsOk());
  EXPECT_EQ(ReadFrame(root), before);
}

TEST_F(HostDestroyTest, DestroyedMapperUnmapsEverything) {
  Map(*mapper_, kHole, *owner_, kOwner - 10, 10);
  BalloonDown(*owner_, 10);
  ASSERT_THAT(host_->DestroyDomain(mapper_->id()), IsOk());
  EXPECT_EQ(owner_->Info().memory.foreign_held.value(), 0u);
  ExpectClean(*host_, kDom0Pages + kOwner - 10);
}

TEST_F(HostDestroyTest, MapperTakesTheFramesOfADyingOwnerWithIt) {
  Map(*mapper_, kHole, *owner_, 300, 2);
  ASSERT_THAT(host_->DestroyDomain(owner_->id()), IsOk());
  const auto freed = host_->DestroyDomain(mapper_->id());
  ASSERT_THAT(freed, IsOk());
  EXPECT_EQ(freed->value(), kMapper + 2);
  EXPECT_EQ(host_->Info().domains, 1u);
}

TEST_F(HostDestroyTest, OnlyTheVeryDomainIsDestroyed) {
  const std::shared_ptr<Domain> first = owner_;
  ASSERT_THAT(host_->DestroyDomain(first), IsOk());
  MustCreate(*host_, MakeSpec("owner", kOwner));
  EXPECT_THAT(host_->DestroyDomain(first),
              IsError(Code::kFailedPrecondition, Reason::kDomainDying,
                      HasSubstr("dying")));
  EXPECT_EQ(host_->Info().domains, 3u);
}

TEST_F(HostDestroyTest, DomainsThatMapEachOtherBothGo) {
  for (const bool mapper_first : {true, false}) {
    const auto a = MustCreate(*host_, MakeSpec("a", 1000, 2000));
    const auto b = MustCreate(*host_, MakeSpec("b", 1000, 2000));
    Map(*a, 1500, *b, 300, 5);
    Map(*b, 1500, *a, 300, 5);
    const auto& first = mapper_first ? a : b;
    const auto& second = mapper_first ? b : a;
    ASSERT_THAT(host_->DestroyDomain(first->id()), IsOk());
    EXPECT_EQ(first->Info().memory.current.value(), 5u);
    // When the mappings of the second one are gone, the first goes too.
    ASSERT_THAT(host_->DestroyDomain(second->id()), IsOk());
    EXPECT_THAT(host_->Find(first->id()),
                IsError(Code::kNotFound, Reason::kDomainNotFound, testing::_));
    ExpectClean(*host_, kDom0Pages + kMapper + kOwner);
  }
}

TEST_F(HostDestroyTest, DomainThatFailsToBuildStaysWhileItIsMapped) {
  const DomainId id(owner_->id().value() + 1);
  int asked = 0;
  // The first StopCheck comes before it has frames, the second before it boots.
  const auto cancel = [&]() -> absl::Status {
    if (++asked < 2) return absl::OkStatus();
    std::vector<FrameRun> runs;
    EXPECT_THAT(host_->LookupFrames({Mfn(0), PageCount(20000)}, 1000, runs),
                IsOk());
    for (const FrameRun& run : runs) {
      if (run.state == FrameState::kOwned && run.owner == id) {
        // On another thread, like another client: this thread holds the new
        // domain's lock.
        std::thread([&] {
          EXPECT_THAT(MapOne(kHole, run.frames.first.value()), IsOk());
        }).join();
        break;
      }
    }
    return absl::CancelledError("enough");
  };
  EXPECT_EQ(
      host_->CreateDomain(MakeSpec("a", 1000), false, cancel).status().code(),
      Code::kCancelled);
  EXPECT_EQ((*host_->Find(id))->Info().memory.current.value(), 1u);
  EXPECT_EQ(host_->Info().domains, 4u);
  ExpectClean(*host_, kDom0Pages + kMapper + kOwner + 1);
  EXPECT_EQ(Unmap(*mapper_, kHole), 1u);
  EXPECT_EQ(host_->Info().domains, 3u);
  MustCreate(*host_, MakeSpec("a", 1000));
}

// When a page for a leaf is allocated, destroys the frame's owner, as another
// client would.
class OwnerDiesMeanwhile : public AllocationFaults {
 public:
  bool FailNow(AllocationSite site) override {
    if (site != AllocationSite::kGuestPage || !kill) return false;
    std::thread(std::exchange(kill, nullptr)).join();
    return fail;
  }
  std::function<void()> kill;
  bool fail = false;
};

TEST(HostDestroyRaceTest, OwnerThatDiesMeanwhileIsNotKept) {
  for (const bool fail : {true, false}) {
    SCOPED_TRACE(fail);
    OwnerDiesMeanwhile faults;
    HostConfig config;
    config.e820 = E820Map::SingleRam(PageCount(20000));
    config.dom0_memory = PageCount(kDom0Pages);
    config.faults = &faults;
    const auto host = *Host::Create(config);
    const auto owner = MustCreate(*host, MakeSpec("owner", 1500));
    DomainSpec spec = MakeSpec("mapper", 4000, 9000);
    spec.p2m.balloon_room = BalloonRoom::kCompact;
    const auto mapper = MustCreate(*host, spec);
    const Mfn frame(WordOf(*owner, 300).Number());
    faults.fail = fail;
    faults.kill = [&] {
      EXPECT_THAT(host->DestroyDomain(owner->id()), IsOk());
    };
    ForeignReport report;
    EXPECT_THAT(mapper->p2m().MapForeign(
                    {"map foreign"}, {ForeignSlot{Pfn(6000), frame}}, report),
                IsOk());
    EXPECT_EQ(report.failed, 1u);
    EXPECT_FALSE(faults.kill);
    EXPECT_EQ(host->Info().domains, 2u);
    ExpectClean(*host, kDom0Pages + 4000);
  }
}

}  // namespace
}  // namespace simvisor
