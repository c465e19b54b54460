#include "domain/frames/foreign_refs.h"

#include <memory>

#include "gtest/gtest.h"
#include "tests/domain/frames/test_frames.h"

namespace simvisor {
namespace {

TEST(ForeignRefsTest, MappingsAreCountedUntilTheLastIsRemoved) {
  ForeignRefs refs(std::make_shared<PageStore>());
  refs.Add(Mfn(7));
  refs.Add(Mfn(7));
  EXPECT_EQ(refs.refs().at(Mfn(7)).mappings, 2u);
  EXPECT_FALSE(refs.Drop(Mfn(7), kOwner));
  EXPECT_FALSE(refs.refs().empty());
  // Its owner still has it, so the caller must not free it.
  EXPECT_FALSE(refs.Drop(Mfn(7), kOwner));
  EXPECT_TRUE(refs.refs().empty());
}

TEST(ForeignRefsTest, HeldFrameGoesWithItsLastMappingAndItsContent) {
  const auto store = std::make_shared<PageStore>();
  ForeignRefs refs(store);
  refs.Add(Mfn(7));
  refs.Add(Mfn(7));
  PagePtr page = store->TakeAnyway();
  (*page)[9] = 'x';
  refs.Hold(Mfn(7), kOwner, std::move(page));
  EXPECT_TRUE(refs.IsHeld(Mfn(7)));
  EXPECT_EQ(refs.HeldBy(kOwner).value(), 1u);
  EXPECT_FALSE(refs.Drop(Mfn(7), kOwner));
  ASSERT_NE(refs.contents().Find(Mfn(7)), nullptr);
  EXPECT_EQ((*refs.contents().Find(Mfn(7)))[9], 'x');
  EXPECT_TRUE(refs.Drop(Mfn(7), kOwner));
  EXPECT_FALSE(refs.IsHeld(Mfn(7)));
  EXPECT_EQ(refs.HeldBy(kOwner).value(), 0u);
  EXPECT_EQ(refs.held().value(), 0u);
  EXPECT_EQ(refs.contents().size(), 0u);
  EXPECT_EQ(store->used(), PageCount(0));
}

TEST(ForeignRefsTest, EveryOwnerHasItsOwnCount) {
  ForeignRefs refs(std::make_shared<PageStore>());
  for (const uint64_t mfn : {5, 6, 8}) {
    refs.Add(Mfn(mfn));
    refs.Hold(Mfn(mfn), DomainId(mfn == 8 ? 4 : 3), nullptr);
  }
  EXPECT_EQ(refs.HeldBy(DomainId(3)).value(), 2u);
  EXPECT_EQ(refs.HeldBy(DomainId(4)).value(), 1u);
  EXPECT_EQ(refs.HeldBy(DomainId(5)).value(), 0u);
  EXPECT_EQ(refs.held().value(), 3u);
}

TEST(ForeignRefsTest, FirstMappedFrameOfAnExtentIsFound) {
  ForeignRefs refs(std::make_shared<PageStore>());
  refs.Add(Mfn(10));
  refs.Add(Mfn(20));
  EXPECT_EQ(refs.FirstIn({Mfn(5), PageCount(100)}), Mfn(10));
  EXPECT_EQ(refs.FirstIn({Mfn(11), PageCount(100)}), Mfn(20));
  EXPECT_EQ(refs.FirstIn({Mfn(20), PageCount(1)}), Mfn(20));
  EXPECT_EQ(refs.FirstIn({Mfn(11), PageCount(9)}), Mfn::None());
  EXPECT_EQ(refs.FirstIn({Mfn(21), PageCount(9)}), Mfn::None());
}

}  // namespace
}  // namespace simvisor
