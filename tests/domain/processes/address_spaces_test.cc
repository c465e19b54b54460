// Address spaces of a PAE guest on its own list.

#include "domain/processes/address_spaces.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/processes/address_spaces_testing.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Code = absl::StatusCode;

// A kernel that changes its own tables and leaves the rest to vmalloc_sync_all.
class LazyKernel : public PmdListener {
 public:
  explicit LazyKernel(AddressSpaces& spaces) : spaces_(spaces) {}
  void PmdsReplaced(uint64_t first_entry,
                    absl::Span<const Pfn> pte_pages) override {
    spaces_.ReplaceInMaster(first_entry, pte_pages);
  }

 private:
  AddressSpaces& spaces_;
};

TEST_F(AddressSpacesTest, UnsharedTablesArePagesFollowedByFourPmds) {
  Make(/*shared=*/false);
  EXPECT_EQ(spaces_->PagesToCreate(2), PageCount(10));
  EXPECT_EQ(Create(2), 1u);
  const auto all = All();
  ASSERT_EQ(all.size(), 2u);
  const uint64_t first = kMfnBase + kFirstFree;
  EXPECT_EQ(all[0].pgd, Mfn(first));
  EXPECT_THAT(all[0].pmds, ElementsAre(Mfn(first + 1), Mfn(first + 2),
                                       Mfn(first + 3), Mfn(first + 4)));
  EXPECT_EQ(all[1].pgd, Mfn(first + 5));
  EXPECT_EQ(all[1].pgd_offset, 0u);
  EXPECT_TRUE(all[1].listed);
  EXPECT_EQ(free_.count(), PageCount(kFreePages - 10));
  EXPECT_TRUE(spaces_->Intersects({Pfn(kFirstFree + 9), PageCount(1)}));
  EXPECT_FALSE(spaces_->Intersects({Pfn(kFirstFree + 10), PageCount(900)}));
}

TEST_F(AddressSpacesTest, SharedTablesShareAPageAndHaveUserPmdsOnly) {
  Make(/*shared=*/true);
  EXPECT_EQ(spaces_->PagesToCreate(130), PageCount(2 + 390));
  Create(130);
  const auto all = All();
  EXPECT_EQ(all[1].pgd, all[0].pgd);
  EXPECT_EQ(all[1].pgd_offset, 32u);
  EXPECT_EQ(all[127].pgd_offset, 4064u);
  EXPECT_NE(all[128].pgd, all[0].pgd);
  EXPECT_TRUE(all[0].pmds[3].is_none());
  EXPECT_FALSE(all[0].listed);
  EXPECT_EQ(spaces_->totals().pgd_frames, PageCount(2));
  EXPECT_EQ(spaces_->totals().listed, 0u);
}

TEST_F(AddressSpacesTest, DestroyGivesEveryPageBack) {
  for (const bool shared : {false, true}) {
    SCOPED_TRACE(shared);
    const auto before = free_.set().extents();
    Make(shared);
    Create(200);
    std::vector<uint64_t> ids;
    for (uint64_t id = 200; id >= 1; --id) ids.push_back(id);
    ASSERT_THAT(Destroy(ids), IsOk());
    EXPECT_EQ(free_.set().extents(), before);
    EXPECT_EQ(spaces_->pages(), PageCount(0));
    EXPECT_EQ(Create(1), 201u) << "ids are not used again";
    ASSERT_THAT(Destroy({201}), IsOk());
  }
}

TEST_F(AddressSpacesTest, DestroyRefusesAllIfItRefusesOne) {
  Make(/*shared=*/false);
  Create(3);
  EXPECT_THAT(Destroy({1, 4}),
              IsError(Code::kNotFound, Reason::kAddressSpaceNotFound,
                      HasSubstr("address space 4")));
  EXPECT_THAT(Destroy({1, 2, 1}),
              IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                      HasSubstr("address space 1")));
  const auto stop = [] { return absl::CancelledError("enough"); };
  EXPECT_EQ(spaces_->Destroy({1}, free_, stop).code(), Code::kCancelled);
  EXPECT_EQ(All().size(), 3u);
}

// Every number of pages that is not enough, with a slab page partly filled.
TEST_F(AddressSpacesTest, CreateThatRunsOutOfPagesChangesNothing) {
  for (const bool shared : {false, true}) {
    SCOPED_TRACE(shared);
    Make(shared);
    Create(126);
    const auto all_before = All();
    const uint64_t needed = spaces_->PagesToCreate(4).value();
    for (uint64_t k = 0; k <= needed; ++k) {
      SCOPED_TRACE(k);
      FreePages source;  // every second page, so that no two follow each other
      for (uint64_t i = 0; i < k; ++i) {
        source.Return({Pfn(kFirstFree + kFreePages + 2 * i), PageCount(1)});
      }
      const auto left = source.set().extents();
      const auto made = spaces_->Create(4, source, NoStop);
      EXPECT_THAT(spaces_->CheckInvariants(), IsOk());
      if (k == needed) {
        ASSERT_THAT(made, IsOk());
        EXPECT_EQ(*made, 127u);
        EXPECT_EQ(source.count(), PageCount(0));
        break;
      }
      EXPECT_THAT(
          made,
          IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                  HasSubstr("4 address spaces: the guest has no free page")));
      EXPECT_EQ(source.set().extents(), left);
      const auto all = All();
      ASSERT_EQ(all.size(), all_before.size());
      for (size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(all[i].pgd_offset, all_before[i].pgd_offset);
        EXPECT_EQ(all[i].pmds, all_before[i].pmds);
      }
    }
  }
}

TEST_F(AddressSpacesTest, CreateThatIsStoppedLeavesNothing) {
  Make(/*shared=*/false);
  const auto before = free_.set().extents();
  for (int asked = 1; asked <= 3; ++asked) {
    int left = asked;
    const auto stop = [&left] {
      return --left > 0 ? absl::OkStatus() : absl::CancelledError("enough");
    };
    EXPECT_EQ(spaces_->Create(600, free_, stop).status().code(),
              Code::kCancelled);
    EXPECT_EQ(left, 0);
    EXPECT_EQ(free_.set().extents(), before);
    EXPECT_EQ(spaces_->totals().spaces, 0u);
  }
  EXPECT_EQ(Create(1), 1u);
}

TEST_F(AddressSpacesTest, ASplitRewritesTwoEntriesInEveryListedTable) {
  Make(/*shared=*/false);
  Create(7);
  EXPECT_EQ(Seen(3, kSplitPfn), P2mWord::Identity(Pfn(kSplitPfn)));
  Split(kSplitPfn);
  EXPECT_EQ(spaces_->totals().entries_rewritten, 2u * (7 + 1));
  for (uint64_t id = 1; id <= 7; ++id) {
    EXPECT_EQ(Seen(id, kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  }
  // A process that is created now copies what the master has.
  EXPECT_EQ(Seen(Create(1), kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  EXPECT_EQ(spaces_->totals().entries_rewritten, 2u * (7 + 1));
}

TEST_F(AddressSpacesTest, ASplitUnderSharedPmdsIsTwoWrites) {
  Make(/*shared=*/true);
  Create(7);
  Split(kSplitPfn);
  EXPECT_EQ(spaces_->totals().entries_rewritten, 2u);
  EXPECT_EQ(Seen(7, kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  const auto sync = spaces_->Sync(NoStop);
  ASSERT_THAT(sync, IsOk());
  EXPECT_EQ(sync->tables_walked, 0u);
}

TEST_F(AddressSpacesTest, WithoutTheAnnouncementTranslationsAreStale) {
  Make(/*shared=*/false);
  Create(2);
  list_->SetPmdListener(nullptr);
  Split(kSplitPfn);
  EXPECT_EQ(Seen(1, kSplitPfn), P2mWord::Identity(Pfn(kSplitPfn)));
  EXPECT_EQ(list_->Lookup(Pfn(kSplitPfn)), P2mWord::Ram(Mfn(0x99)));
  EXPECT_THAT(spaces_->CheckInvariants().message(), HasSubstr("PMD entry 2"));
  Make(/*shared=*/false);
}

TEST_F(AddressSpacesTest, SyncBringsListedTablesUpToDate) {
  Make(/*shared=*/false);
  Create(5);
  LazyKernel lazy(*spaces_);
  list_->SetPmdListener(&lazy);
  Split(kSplitPfn);
  Split(kSplitPfn + kAbi.mid_span());
  EXPECT_EQ(Seen(5, kSplitPfn), P2mWord::Identity(Pfn(kSplitPfn)));
  EXPECT_FALSE(spaces_->CheckInvariants().ok());
  const uint64_t up_to_date = Create(1);
  EXPECT_EQ(Seen(up_to_date, kSplitPfn), P2mWord::Ram(Mfn(0x99)));

  const auto sync = spaces_->Sync(NoStop);
  ASSERT_THAT(sync, IsOk());
  EXPECT_EQ(sync->tables_walked, 6u);
  EXPECT_EQ(sync->entries_rewritten, 5u * 4);
  EXPECT_EQ(Seen(5, kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  EXPECT_EQ(spaces_->Sync(NoStop)->entries_rewritten, 0u);
  EXPECT_EQ(spaces_->totals().entries_rewritten, 4u + 20);
}

TEST_F(AddressSpacesTest, TranslateRefusesWhatNoTableMaps) {
  Make(/*shared=*/false);
  Create(1);
  std::vector<P2mWord> words;
  const uint64_t end = kMids * kAbi.mid_span();
  EXPECT_THAT(spaces_->Translate(1, {0, end}, words),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange,
                      HasSubstr("ends at pfn 0x400000")));
  EXPECT_THAT(spaces_->Translate(2, {0}, words),
              IsError(Code::kNotFound, Reason::kAddressSpaceNotFound,
                      HasSubstr("address space 2")));
  EXPECT_TRUE(words.empty());
}

TEST_F(AddressSpacesTest, ListGoesOnFromAnyId) {
  Make(/*shared=*/false);
  Create(5);
  ASSERT_THAT(Destroy({3}), IsOk());
  std::vector<AddressSpaceInfo> some;
  spaces_->List(2, 2, some);
  ASSERT_EQ(some.size(), 2u);
  EXPECT_EQ(some[0].id, 2u);
  EXPECT_EQ(some[1].id, 4u);
  spaces_->List(6, 2, some);
  EXPECT_EQ(some.size(), 2u);
}

}  // namespace
}  // namespace simvisor
