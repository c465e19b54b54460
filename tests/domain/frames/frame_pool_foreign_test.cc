// Mappings of frames by domains that do not own them, as the pool counts them.

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "domain/frames/frame_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/frames/test_frames.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr DomainId kMapper{2};
constexpr DomainId kOther{3};
constexpr uint64_t kFrames = 100;
constexpr uint64_t kFirst = 10;  // of the owner's 50

class FramePoolForeignTest : public testing::Test {
 protected:
  FramePoolForeignTest() {
    pool_ = *FramePool::Create({{Mfn(0), PageCount(kFrames)}}, Mfn(kFirst),
                               Placement::kLowest, 1);
    FrameClaim claim = *pool_->Claim(PageCount(50));
    pool_->Populate(claim, kOwner, {Pfn(0), PageCount(50)},
                    [](Pfn, absl::Span<const MfnExtent>) {});
  }
  ~FramePoolForeignTest() override {
    EXPECT_THAT(pool_->CheckInvariants(), IsOk());
  }

  void Map(uint64_t mfn, DomainId mapper = kMapper) {
    ASSERT_THAT(pool_->MapForeign(Mfn(mfn), mapper), IsOk());
  }
  uint64_t Unmap(uint64_t mfn, std::vector<DomainId>* drained) {
    const Mfn one(mfn);
    return pool_->UnmapForeign({&one, 1}, drained).value();
  }
  uint64_t Free(uint64_t first, uint64_t count, char content = 0) {
    const MfnExtent extent = {Mfn(first), PageCount(count)};
    return pool_
        ->Free({&extent, 1},
               [this, content](Mfn, Pfn pfn) -> PagePtr {
                 if (content == 0) return nullptr;
                 PagePtr page = pool_->store()->TakeAnyway();
                 page->fill(static_cast<char>(content + pfn.value()));
                 return page;
               })
        .value();
  }

  std::unique_ptr<FramePool> pool_;
};

TEST_F(FramePoolForeignTest, OnlyFramesOfOtherDomainsAreMapped) {
  const auto refused = [](absl::string_view why) {
    return IsError(Code::kFailedPrecondition, Reason::kFrameNotForeign,
                   HasSubstr(std::string(why)));
  };
  EXPECT_THAT(pool_->MapForeign(Mfn(kFrames), kMapper),
              IsError(Code::kOutOfRange, Reason::kMfnOutOfRange,
                      HasSubstr("ends at mfn 0x64")));
  EXPECT_THAT(pool_->MapForeign(Mfn(5), kMapper), refused("no domain"));
  EXPECT_THAT(pool_->MapForeign(Mfn(90), kMapper), refused("no domain"));
  EXPECT_THAT(pool_->MapForeign(Mfn(20), kOwner), refused("own"));
  EXPECT_THAT(pool_->CheckForeign(Mfn(20), kMapper), IsOk());
  EXPECT_THAT(pool_->CheckMappings({}), IsOk());  // asking counts nothing
}

TEST_F(FramePoolForeignTest, MappedFrameThatIsFreedIsHeldUntilItsLastMapping) {
  Map(20);
  Map(20, kOther);
  EXPECT_EQ(Free(20, 5), 4u);
  EXPECT_EQ(pool_->HeldBy(kOwner), PageCount(1));
  EXPECT_EQ(pool_->Lookup(Mfn(20)).owner, kOwner);
  EXPECT_TRUE(pool_->Lookup(Mfn(20)).first_pfn.is_none());
  EXPECT_THAT(pool_->MapForeign(Mfn(20), DomainId(4)),
              IsError(Code::kFailedPrecondition, Reason::kFrameNotForeign,
                      HasSubstr("given back")));
  std::vector<DomainId> drained;
  EXPECT_EQ(Unmap(20, &drained), 0u);
  EXPECT_THAT(drained, IsEmpty());
  EXPECT_EQ(Unmap(20, &drained), 1u);
  EXPECT_THAT(drained, ElementsAre(kOwner));
  EXPECT_EQ(pool_->HeldBy(kOwner), PageCount(0));
  EXPECT_EQ(pool_->Lookup(Mfn(20)).state, FrameState::kFree);
}

TEST_F(FramePoolForeignTest, OwnerIsDrainedWithItsLastHeldFrame) {
  Map(20);
  Map(30);
  EXPECT_EQ(Free(10, 50), 48u);
  std::vector<DomainId> drained;
  EXPECT_EQ(Unmap(20, &drained), 1u);
  EXPECT_THAT(drained, IsEmpty());
  EXPECT_EQ(Unmap(30, &drained), 1u);
  EXPECT_THAT(drained, ElementsAre(kOwner));
  EXPECT_EQ(pool_->counts().free, PageCount(kFrames - kFirst));
}

TEST_F(FramePoolForeignTest, MappingRemovedFirstLeavesTheFrameToItsOwner) {
  Map(20);
  std::vector<DomainId> drained;
  EXPECT_EQ(Unmap(20, &drained), 0u);
  EXPECT_THAT(drained, IsEmpty());
  EXPECT_EQ(Free(20, 1), 1u);
}

TEST_F(FramePoolForeignTest, HeldFrameKeepsItsContent) {
  Map(20);
  Map(21);
  EXPECT_EQ(Free(20, 1, 'a'), 0u);
  EXPECT_EQ(Free(21, 1), 0u);
  Page page{};
  bool zero = true;
  EXPECT_TRUE(pool_->ReadHeld(Mfn(20), kOwner, absl::MakeSpan(page), &zero));
  EXPECT_FALSE(zero);
  EXPECT_EQ(page[4095], 'a' + 10);  // at pfn 10
  EXPECT_TRUE(pool_->ReadHeld(Mfn(21), kOwner, absl::MakeSpan(page), &zero));
  EXPECT_TRUE(zero);
  EXPECT_FALSE(pool_->ReadHeld(Mfn(20), kOther, absl::MakeSpan(page), &zero));
  EXPECT_FALSE(pool_->ReadHeld(Mfn(22), kOwner, absl::MakeSpan(page), &zero));
}

TEST_F(FramePoolForeignTest, MappingsAreComparedFrameByFrame) {
  Map(20);
  Map(20, kOther);
  Map(30);
  using Mapped = absl::btree_map<Mfn, uint64_t>;
  EXPECT_THAT(pool_->CheckMappings(Mapped{{Mfn(20), 2}, {Mfn(30), 1}}), IsOk());
  const auto wrong = [](absl::string_view what) {
    return IsError(Code::kInternal, Reason::kInternal,
                   HasSubstr(std::string(what)));
  };
  EXPECT_THAT(pool_->CheckMappings(Mapped{{Mfn(20), 1}, {Mfn(30), 1}}),
              wrong("mfn 0x14 is in 1 foreign words, but 2"));
  EXPECT_THAT(pool_->CheckMappings(Mapped{{Mfn(20), 2}}),
              wrong("mfn 0x1e is counted as mapped"));
  EXPECT_THAT(pool_->CheckMappings(Mapped{{Mfn(30), 1}}),
              wrong("mfn 0x14 is counted as mapped"));
  EXPECT_THAT(
      pool_->CheckMappings(Mapped{{Mfn(20), 2}, {Mfn(25), 1}, {Mfn(30), 1}}),
      wrong("mfn 0x19 is in a foreign word, but not counted"));
}

// More frames than the pool holds under one hold of its lock.
TEST(FramePoolForeignScaleTest, ManyMappedFramesAreAllHeld) {
  constexpr uint64_t kMany = 3 * FramePool::kMaxHeld + 17;
  const auto pool = *FramePool::Create({{Mfn(0), PageCount(kMany + 100)}},
                                       Mfn(0), Placement::kLowest, 1);
  FrameClaim claim = *pool->Claim(PageCount(kMany + 50));
  pool->Populate(claim, kOwner, {Pfn(0), PageCount(kMany + 50)},
                 [](Pfn, absl::Span<const MfnExtent>) {});
  std::vector<Mfn> mfns;
  for (uint64_t i = 0; i < kMany; ++i) {
    mfns.push_back(Mfn(i));
    ASSERT_THAT(pool->MapForeign(Mfn(i), kMapper), IsOk());
  }
  const std::vector<MfnExtent> all = {{Mfn(0), PageCount(kMany)},
                                      {Mfn(kMany), PageCount(50)}};
  EXPECT_EQ(pool->Free(all, [](Mfn, Pfn) { return nullptr; }), PageCount(50));
  EXPECT_EQ(pool->HeldBy(kOwner), PageCount(kMany));
  EXPECT_THAT(pool->CheckInvariants(), IsOk());
  std::vector<DomainId> drained;
  EXPECT_EQ(pool->UnmapForeign(mfns, &drained), PageCount(kMany));
  EXPECT_THAT(drained, ElementsAre(kOwner));
}

}  // namespace
}  // namespace simvisor
